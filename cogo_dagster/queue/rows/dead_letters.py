"""Jobs that failed for good, and the causes they have in common."""

from uuid import UUID

from pydantic import ConfigDict, Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.rows.jobs import ShownError
from cogo_dagster.queue.tolerant import MaybeTime, Time


class DeadLetter(Row):
    """A job that failed for good."""

    job_id: UUID
    type: str | None
    executor_id: str | None
    attempts: int | None
    max_attempts: int | None
    reason: str | None
    error: ShownError
    fingerprint: str | None = Field(description="The same for errors that have one cause.")
    code_version: str | None
    failed_at: Time
    replays: int
    replayed_at: MaybeTime
    replayed_job_id: UUID | None
    closed_at: MaybeTime


class Incident(Row):
    """Open dead letters that have one cause."""

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
