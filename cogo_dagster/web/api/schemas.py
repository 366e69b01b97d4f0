"""The API's documents. Fields are the engine's; `next` is the cursor of the next page, null after the last."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.tolerant import (
    Counters,
    Document,
    MaybeDocument,
    MaybeNumber,
    MaybeTime,
    OrUnreadable,
    Time,
    UnreadableText,
    Value,
)
from cogo_dagster.text import storable_json

NO_NULL = r"^[^\u0000]*$"
"""Text that the database can hold."""

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ShownStatus = Annotated[Status | UnreadableText, OrUnreadable]


class Problem(BaseModel):
    """What went wrong: one sentence that says what to do."""

    error: str


def _text(value: Json) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)[:2_000]


Text = Annotated[str | None, BeforeValidator(_text)]


class JobError(BaseModel):
    """Why an attempt failed."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    error_class: Text = Field(None, alias="class")
    message: Text = None
    retryable: Annotated[bool | UnreadableText | None, OrUnreadable] = None
    detail: Text = None


ShownError = Annotated[
    JobError | UnreadableText | None, OrUnreadable, BeforeValidator(lambda error: storable_json(error)[0])
]


class JobRow(BaseModel):
    """A job as lists show it."""

    id: UUID
    type: str
    status: ShownStatus
    executor_id: str | None
    priority: int
    attempts: int
    max_attempts: int
    next_run_at: Time
    idempotency_key: str | None
    worker_id: str | None
    instance_id: UUID | None
    lease_expires_at: MaybeTime
    cancel_requested: bool
    created_at: Time
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: MaybeTime
    run_seconds: MaybeNumber
    error: ShownError


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
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: MaybeTime
    run_seconds: MaybeNumber
    error: ShownError


class ArtifactRow(BaseModel):
    """A file that a job left, or a report without a job."""

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
    artifacts: list[ArtifactRow]


class DeadLetter(BaseModel):
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


class Incident(BaseModel):
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


class WorkerRow(BaseModel):
    """A worker's process start, with its device."""

    instance_id: UUID
    worker_id: str | None
    executor_id: str | None
    families: list[str | None]
    hostname: str | None
    pid: int | None
    code_version: str | None
    dagster_run_id: str | None
    concurrency: int
    running: int
    alive: bool
    started_at: Time
    last_heartbeat_at: Time
    stopped_at: MaybeTime
    counters: Counters
    device: MaybeDocument


class Jobs(BaseModel):
    """A page of jobs."""

    jobs: list[FoundJob]
    next: UUID | None
    looked_until: MaybeTime = Field(
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
    filter: Document
    matched: int
    changed: int
    skipped: int
    created_at: Time
    updated_at: Time


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
    items: list[Document] = Field(description="The first hundred rows: what becomes of each.")


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
    announced_at: MaybeTime
    next_attempt_at: MaybeTime
    error: Value


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
    first_seen_at: Time
    last_seen_at: Time
    resolved_at: MaybeTime
    resolution: str | None
    refs: Document
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
    retry_at: MaybeTime
    last_success_at: MaybeTime
    last_failure_at: MaybeTime
    last_error: Value
    pending: int
    oldest_pending_seconds: MaybeNumber
    dead: int
    delivered: int


class AlertTargets(BaseModel):
    """How the targets do."""

    targets: list[AlertTarget]
    firing: int
    undelivered: int = Field(description="Deliveries that are due.")
    promoted_seconds_ago: MaybeNumber = Field(description="Since the last look at what failed.")


class Notified(BaseModel):
    """What became of a weekly notice."""

    week: str
    targets: list[str]
    created: bool = Field(description="False when this week was announced before.")
