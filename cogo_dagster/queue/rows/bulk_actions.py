"""Bulk actions, and the jobs of a search as they see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.rows.jobs import ShownStatus
from cogo_dagster.queue.tolerant import Document, MaybeTime, OrUnreadable, Time, UnreadableText

ActionName = Literal["retry", "replay", "discard", "cancel"]

ActionState = Literal["planned", "running", "stopped", "finished"]


class ActionItem(Row):
    """A job that a search found, and whether a bulk action can change it.

    Attributes:
        version: The version of the row that would be changed; None if any version is changed.
        cause: The fingerprint of its error in the dead-letter queue.
        host: Host of its last worker.
        release: The release on which it was dead-lettered, else the one that ran it last.
        ineligible: Why it cannot be changed; None if it can.
    """

    id: UUID
    version: str | None
    type: str
    status: ShownStatus
    error_class: str | None
    cause: str | None
    host: str | None
    release: str | None
    ineligible: str | None


class ActionItems(Row):
    """A page of jobs that a search found.

    Attributes:
        before_id: The cursor of the next page; None after the last.
        looked_until: How far back an incomplete page was searched.
    """

    items: list[ActionItem]
    before_id: UUID | None
    looked_until: MaybeTime


class BulkAction(Row):
    """A bulk action.

    Attributes:
        query: The search in the filter language.
        arguments: What the operation takes, such as the reason of a discard.
        summary: The counts of its preview.
    """

    id: UUID
    operation: Annotated[ActionName | UnreadableText, OrUnreadable]
    name: str
    query: str
    arguments: Document
    summary: Document
    actor: str
    state: Annotated[ActionState | UnreadableText, OrUnreadable]
    created_at: Time
    started_at: MaybeTime
    stopped_at: MaybeTime
    finished_at: MaybeTime
    planned: int = Field(description="Jobs that it changes.")
    changed: int
    skipped: int = Field(description="Jobs that changed after they were chosen, or were being changed.")
    more: bool = Field(description="Whether jobs are left; after a batch of a stopped action, false.")

    @property
    def left(self) -> int:
        """The number of jobs that no batch has reached."""
        return self.planned - self.changed - self.skipped


class ReplayResults(Row):
    """What became of the replays of a cause: how many have ended, and how many of them succeeded."""

    ended: int
    succeeded: int

    def __str__(self) -> str:
        replays = "replay" if self.ended == 1 else "replays"
        return f"{self.succeeded:,} of {self.ended:,} {replays} of this cause succeeded."


class MatchCount(Row):
    """How many jobs match a filter; `more` if there may be more."""

    count: int
    more: bool
