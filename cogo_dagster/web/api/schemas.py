"""Response models of the API. `next` is the cursor of the next page, null on the last one."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from cogo_dagster.queue.rows.alerts import AlertRow, AlertTargets, SilenceRow
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.dead_letters import DeadLetter, Incident
from cogo_dagster.queue.rows.jobs import Cancelled, FoundJob, JobRow, ShownError, Status
from cogo_dagster.queue.rows.operations import OperationRow
from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.queue.tolerant import Document, MaybeNumber, MaybeTime, Value

__all__ = [
    "AlertRow",
    "AlertTargets",
    "Cancelled",
    "DeadLetter",
    "FoundJob",
    "Incident",
    "JobRow",
    "OperationRow",
    "Status",
    "WorkerRow",
]

NO_NULL = r"^[^\u0000]*$"
"""Text without NUL, which PostgreSQL cannot store."""

Week = Annotated[
    str | None,
    Query(pattern="^[0-9]{4}-W[0-9]{2}$", description="ISO week, such as 2026-W47; default: the last full week."),
]
"""A week in a query; `quality.weeks.start_of` checks that it exists."""


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


class ArtifactDetail(ArtifactRow):
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
    artifacts: list[ArtifactDetail]


class JobPage(BaseModel):
    """A page of jobs."""

    jobs: list[FoundJob]
    next: UUID | None
    looked_until: MaybeTime = Field(
        description="Set if the search stopped after 10,000 jobs: creation time of the last one read."
    )


class EnqueuedJob(BaseModel):
    """The job of a request to enqueue."""

    job_id: UUID | None = Field(description="null after a dry run.")
    created: bool = Field(
        description="False after a dry run, or if the idempotency key belongs to an earlier job, whose ID this is."
    )


class ArtifactPage(BaseModel):
    """A page of artifacts."""

    artifacts: list[ArtifactDetail]
    next: str | None


class DeadLetterPage(BaseModel):
    """A page of the dead-letter queue."""

    dead_letters: list[DeadLetter]
    next: str | None


class Incidents(BaseModel):
    """Causes of open dead-lettered jobs."""

    incidents: list[Incident]


class WorkerPage(BaseModel):
    """A page of workers; each start is a row."""

    workers: list[WorkerRow]
    next: str | None


class OperationPage(BaseModel):
    """A page of the operations log."""

    operations: list[OperationRow]
    next: str | None


class LeftOutJobs(BaseModel):
    """Jobs that an operation cannot change."""

    count: int
    job_ids: list[str] = Field(description="The first 20 of them.")


class Done(BaseModel):
    """Result of a bulk action or of its dry run."""

    matched: int
    changed: int
    skipped: int
    dry_run: bool
    operation_id: str | None = Field(None, description="Id in the operations log; null for a dry run.")
    left_out: dict[str, LeftOutJobs] = Field(description="Jobs that cannot be changed, by reason.")
    items: list[Document] = Field(description="The first 100 rows, with the result for each.")


class Paused(BaseModel):
    """Result of a pause or a resume."""

    kind: Literal["type", "executor"]
    name: str
    changed: bool
    known: bool = Field(True, description="False if no worker, job or executor has the name: it may be misspelt.")


class AlertPage(BaseModel):
    """A page of alerts."""

    alerts: list[AlertRow]
    next: str | None


class Silences(BaseModel):
    """Active silences, those that end last first."""

    silences: list[SilenceRow]


class Notified(BaseModel):
    """Result of announcing a weekly summary."""

    week: str
    targets: list[str]
    created: bool = Field(description="False if the week had already been announced.")
