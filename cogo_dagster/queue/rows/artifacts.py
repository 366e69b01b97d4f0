"""Artifacts of jobs and gate runs."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, OrUnreadable, Time, UnreadableText


class ArtifactRow(Row):
    """An artifact of a job, or a report without a job."""

    id: UUID
    job_id: UUID | None
    attempt: int | None
    name: str | None
    content_type: str | None
    size_bytes: int | None
    sha256: str | None
    status: Annotated[Literal["pending", "ready", "orphaned", "expired"] | UnreadableText, OrUnreadable]
    created_at: Time
    ready_at: MaybeTime
    expires_at: MaybeTime
    storage_key: str | None = Field(exclude=True, description="Where its bytes are in the store.")


class CreatedReport(Row):
    """A report to be uploaded, which may exist already."""

    artifact_id: UUID
    storage_key: str
    status: str


class AbandonedArtifact(Row):
    """An artifact whose attempt is lost; without a key, only the row needs to be deleted."""

    artifact_id: UUID
    storage_key: str | None
