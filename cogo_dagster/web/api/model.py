"""The API's documents. Fields are the engine's; `next` is the cursor of the next page, null after the last."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

NO_NULL = r"^[^\u0000]*$"
"""Text that the database can hold."""

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Problem(BaseModel):
    """What went wrong: one sentence that says what to do."""

    error: str


class JobError(BaseModel):
    """Why an attempt failed."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    error_class: str | None = Field(None, alias="class")
    message: str | None = None
    retryable: bool | None = None
    detail: str | None = None


class JobRow(BaseModel):
    """A job as lists show it."""

    id: UUID
    type: str
    status: Status
    executor_id: str | None
    priority: int
    attempts: int
    max_attempts: int
    next_run_at: datetime
    idempotency_key: str | None
    worker_id: str | None
    instance_id: UUID | None
    lease_expires_at: datetime | None
    cancel_requested: bool
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    run_seconds: float | None
    error: JobError | None


class FoundJob(JobRow):
    """A job as a search shows it."""

    subject: str | None = Field(description="What its payload is about: an address, a file, a command.")


class AttemptRow(BaseModel):
    """One attempt of a job."""

    number: int
    outcome: str = Field(
        description="succeeded, failed, cancelled, running; of a superseded one also lost, released, snoozed."
    )
    worker_id: str | None
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    run_seconds: float | None
    error: JobError | None


class ArtifactRow(BaseModel):
    """A file that a job left, or a report without a job."""

    id: UUID
    job_id: UUID | None
    attempt: int | None
    name: str | None
    content_type: str | None
    size_bytes: int | None
    sha256: str | None
    status: Literal["pending", "ready", "orphaned", "expired"]
    created_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    content_url: str = Field(description="Leads to the bytes; what it leads to is signed when it is asked for.")


class JobDetail(JobRow):
    """A whole job."""

    payload: dict[str, Any]
    result: Any
    snoozes: int
    timeout_seconds: float | None
    dagster_run_id: str | None
    replay_of: UUID | None
    replayed_job_id: UUID | None
    why: str | None = Field(description="Why it is where it is, in a sentence.")
    attempt_list: list[AttemptRow]
    artifacts: list[ArtifactRow]


class DeadLetter(BaseModel):
    """A job that failed for good."""

    job_id: UUID
    type: str | None
    executor_id: str | None
    attempts: int | None
    max_attempts: int | None
    reason: str | None
    error: JobError | None
    fingerprint: str | None = Field(description="The same for errors that have one cause.")
    code_version: str | None
    failed_at: datetime
    replays: int
    replayed_at: datetime | None
    replayed_job_id: UUID | None
    closed_at: datetime | None


class Incident(BaseModel):
    """Open dead letters that have one cause."""

    model_config = ConfigDict(populate_by_name=True)

    fingerprint: str | None
    type: str | None
    error_class: str | None = Field(None, alias="class")
    message: str | None
    count: int
    first_failed_at: datetime
    last_failed_at: datetime
    code_versions: list[str]
    job_ids: list[UUID]


class WorkerRow(BaseModel):
    """A worker's process start, with its device."""

    instance_id: UUID
    worker_id: str | None
    executor_id: str | None
    families: list[str]
    hostname: str | None
    pid: int | None
    code_version: str | None
    dagster_run_id: str | None
    concurrency: int
    running: int
    alive: bool
    started_at: datetime
    last_heartbeat_at: datetime
    stopped_at: datetime | None
    counters: dict[str, int] | None
    device: dict[str, Any] | None


class Jobs(BaseModel):
    """A page of jobs."""

    jobs: list[FoundJob]
    next: UUID | None
    looked_until: datetime | None = Field(
        description="A rare filter looks at 20,000 jobs a page: how far back it has come, if not to the end."
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
    """The causes of the open dead letters."""

    incidents: list[Incident]


class Workers(BaseModel):
    """A page of worker starts."""

    workers: list[WorkerRow]
    next: str | None


class Operation(BaseModel):
    """What an operator did."""

    id: UUID
    operation: str
    actor: str
    filter: dict[str, Any]
    matched: int
    changed: int
    skipped: int
    created_at: datetime
    updated_at: datetime


class Operations(BaseModel):
    """A page of what operators did."""

    operations: list[Operation]
    next: str | None


class Cancelled(BaseModel):
    """What became of a cancel."""

    job_id: UUID
    status: Status
    cancel_requested: bool


class Done(BaseModel):
    """What a bulk action did, or would do."""

    matched: int
    changed: int
    skipped: int
    dry_run: bool
    items: list[dict[str, Any]] = Field(description="The first hundred rows: what becomes of each.")


class Paused(BaseModel):
    """What became of a pause or a resume."""

    kind: Literal["type", "executor"]
    name: str
    changed: bool


class Delivery(BaseModel):
    """What one target was told of one alert."""

    target: str
    status: str
    event: str | None
    attempts: int
    announced_at: datetime | None
    next_attempt_at: datetime | None
    error: Any


class Alert(BaseModel):
    """Something that went wrong, or that everybody is told."""

    id: UUID
    fingerprint: str
    kind: str
    subject: str
    status: str
    title: str
    error_class: str | None
    error_message: str | None
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    refs: dict[str, Any]
    silenced: bool
    inhibited: bool
    deliveries: list[Delivery]


class Alerts(BaseModel):
    """A page of alerts."""

    alerts: list[Alert]
    next: str | None


class AlertTarget(BaseModel):
    """How one target does."""

    target: str
    healthy: bool
    disabled: bool
    consecutive_failures: int
    retry_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: Any
    pending: int
    oldest_pending_seconds: float | None
    dead: int
    delivered: int


class AlertTargets(BaseModel):
    """How the targets do."""

    targets: list[AlertTarget]
    firing: int
    undelivered: int = Field(description="Deliveries that are due.")
    promoted_seconds_ago: float | None = Field(description="Since the last look at what failed.")


class Notified(BaseModel):
    """What became of a weekly notice."""

    week: str
    targets: list[str]
    created: bool = Field(description="False when this week was announced before.")
