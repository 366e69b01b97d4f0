"""Response models of the API. `next` is the cursor of the next page, null on the last one."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from cogo_dagster.queue.rows import artifacts as rows
from cogo_dagster.queue.rows.alerts import Alert, AlertTargets
from cogo_dagster.queue.rows.dead_letters import DeadLetter, Incident
from cogo_dagster.queue.rows.jobs import Cancelled, FoundJob, JobRow, ShownError, Status
from cogo_dagster.queue.rows.operations import Operation
from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.queue.tolerant import Document, MaybeNumber, MaybeTime, Value

__all__ = [
    "Alert",
    "AlertTargets",
    "Cancelled",
    "DeadLetter",
    "FoundJob",
    "Incident",
    "JobRow",
    "Operation",
    "Status",
    "WorkerRow",
]

NO_NULL = r"^[^\u0000]*$"
"""Text without NUL, which PostgreSQL cannot store."""


class AttemptRow(BaseModel):
    """One attempt of a job."""

    number: int
    outcome: str = Field(
        description="succeeded, failed, cancelled or running; a superseded attempt also lost, released or snoozed."
    )
    worker_id: str | None
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: MaybeTime
    run_seconds: MaybeNumber
    error: ShownError


class ArtifactRow(rows.ArtifactRow):
    """An artifact of a job, or a report that belongs to no job."""

    content_url: str = Field(description="Redirects to a signed URL of the content, or returns it.")


class JobDetail(JobRow):
    """A job with all its columns."""

    payload: Document
    result: Value
    snoozes: int
    timeout_seconds: MaybeNumber
    dagster_run_id: str | None
    replay_of: UUID | None
    replayed_job_id: UUID | None
    why: str | None = Field(description="Reason for the job's state.")
    attempt_list: list[AttemptRow]
    artifacts: list[ArtifactRow]


class Jobs(BaseModel):
    """A page of jobs."""

    jobs: list[FoundJob]
    next: UUID | None
    looked_until: MaybeTime = Field(
        description="Set if the search stopped after 20,000 jobs: creation time of the last one read."
    )


class Artifacts(BaseModel):
    """A page of artifacts."""

    artifacts: list[ArtifactRow]
    next: str | None


class DeadLetters(BaseModel):
    """A page of the dead-letter queue."""

    dead_letters: list[DeadLetter]
    next: str | None


class Incidents(BaseModel):
    """Causes of open dead-lettered jobs."""

    incidents: list[Incident]


class Workers(BaseModel):
    """A page of workers; each start is a row."""

    workers: list[WorkerRow]
    next: str | None


class Operations(BaseModel):
    """A page of the operations log."""

    operations: list[Operation]
    next: str | None


class Done(BaseModel):
    """Result of a bulk action or of its dry run."""

    matched: int
    changed: int
    skipped: int
    dry_run: bool
    items: list[Document] = Field(description="The first 100 rows, with the result for each.")


class Paused(BaseModel):
    """Result of a pause or a resume."""

    kind: Literal["type", "executor"]
    name: str
    changed: bool


class Alerts(BaseModel):
    """A page of alerts."""

    alerts: list[Alert]
    next: str | None


class Notified(BaseModel):
    """Result of announcing a weekly summary."""

    week: str
    targets: list[str]
    created: bool = Field(description="False if the week was announced before.")
