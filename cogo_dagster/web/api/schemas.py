"""The API's documents: rows of the engine and pages of them; `next` is the cursor of the next page, null at the end."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from cogo_dagster.queue.rows.alerts import AlertRow, AlertTargets
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
"""Text that the database can hold."""

Week = Annotated[
    str | None,
    Query(pattern="^[0-9]{4}-W[0-9]{2}$", description="As 2026-W47; the last that is over if left out."),
]
"""A week in a query; `quality.weeks.start_of` says whether there is one."""


class AttemptRow(BaseModel):
    """One attempt of a job."""

    number: int
    outcome: str = Field(
        description="succeeded, failed, cancelled, running; of a superseded one also lost, released, snoozed."
    )
    worker_id: str | None
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: MaybeTime
    run_seconds: MaybeNumber
    error: ShownError


class ArtifactDetail(ArtifactRow):
    """A file that a job left, or a report without a job."""

    content_url: str = Field(description="Leads to the bytes; what it leads to is signed when it is asked for.")


class JobDetail(JobRow):
    """A whole job."""

    payload: Document
    result: Value
    snoozes: int
    timeout_seconds: MaybeNumber
    dagster_run_id: str | None
    replay_of: UUID | None
    replayed_job_id: UUID | None
    why: str | None = Field(description="Why it is where it is, in a sentence.")
    attempt_list: list[AttemptRow]
    artifacts: list[ArtifactDetail]


class JobPage(BaseModel):
    """A page of jobs."""

    jobs: list[FoundJob]
    next: UUID | None
    looked_until: MaybeTime = Field(
        description="A rare filter looks at 20,000 jobs a page: how far back it has come, if not to the end."
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
    """The causes of the open dead letters."""

    incidents: list[Incident]


class WorkerPage(BaseModel):
    """A page of worker starts."""

    workers: list[WorkerRow]
    next: str | None


class OperationPage(BaseModel):
    """A page of what operators did."""

    operations: list[OperationRow]
    next: str | None


class Done(BaseModel):
    """What a bulk action did, or would do."""

    matched: int
    changed: int
    skipped: int
    dry_run: bool
    items: list[Document] = Field(description="The first hundred rows: what becomes of each.")


class Paused(BaseModel):
    """What became of a pause or a resume."""

    kind: Literal["type", "executor"]
    name: str
    changed: bool


class AlertPage(BaseModel):
    """A page of alerts."""

    alerts: list[AlertRow]
    next: str | None


class Notified(BaseModel):
    """What became of a weekly notice."""

    week: str
    targets: list[str]
    created: bool = Field(description="False when this week was announced before.")
