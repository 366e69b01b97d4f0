"""The operations log, and pauses."""

from typing import Annotated, Literal
from uuid import UUID

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Document, OrUnreadable, Time, UnreadableText

Pausable = Literal["type", "executor"]


class OperationRow(Row):
    """An operation."""

    id: UUID
    operation: str
    actor: str
    filter: Document
    matched: int
    changed: int
    skipped: int
    created_at: Time
    updated_at: Time


class PausedRow(Row):
    """A paused type or executor ID."""

    kind: Annotated[Pausable | UnreadableText, OrUnreadable]
    name: str
    reason: str | None
    actor: str
    paused_at: Time


class PausedChange(Row):
    """The result of a pause.

    Attributes:
        changed: False if it was paused already.
        known: False if no worker or job has the name.
    """

    kind: Pausable
    name: str
    paused_at: Time
    changed: bool
    known: bool


class ResumedChange(Row):
    """The result of a resume; `changed` is False if it was not paused."""

    kind: Pausable
    name: str
    changed: bool
