"""Dead-lettered jobs, and their groups by fingerprint."""

from uuid import UUID

from pydantic import ConfigDict, Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.rows.jobs import ShownError
from cogo_dagster.queue.tolerant import MaybeTime, Time


class DeadLetter(Row):
    """A dead-lettered job."""

    job_id: UUID
    type: str | None
    subject: str | None = Field(None, description="What the job is about: see `FoundJob`.")
    executor_id: str | None
    attempts: int | None
    max_attempts: int | None
    reason: str | None
    error: ShownError
    fingerprint: str | None = Field(description="Equal for errors with the same cause.")
    code_version: str | None
    failed_at: Time
    replays: int
    replayed_at: MaybeTime
    replayed_job_id: UUID | None
    closed_at: MaybeTime
    discarded_at: MaybeTime
    discard_reason: str | None


class Incident(Row):
    """Open dead-lettered jobs with the same fingerprint."""

    model_config = ConfigDict(populate_by_name=True)

    fingerprint: str | None
    type: str | None
    error_class: str | None = Field(None, alias="class")
    message: str | None
    count: int
    first_failed_at: Time
    last_failed_at: Time
    code_versions: list[str]
    job_ids: list[UUID]
