"""Workers and their heartbeats."""

from uuid import UUID

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Counters, MaybeDocument, MaybeTime, Number, Time


class WorkerRow(Row):
    """A worker with its device."""

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
    heartbeat_seconds: Number = Field(exclude=True)
    idle: bool = Field(exclude=True, description="Whether enqueues wake it.")
    stuck_reason: str | None = Field(exclude=True, description="Why it was stuck and ended.")


class LeaseLoss(Row):
    """An attempt that lost its lease; its job may have been purged."""

    job_id: UUID
    type: str | None
    attempt: int
    worker_id: str | None
    instance_id: UUID | None
    finished_at: Time


class WorkerLosses(Row):
    """The lost leases of one worker."""

    worker_id: str | None
    attempts: int
    jobs: int


class LeaseLosses(Row):
    """Attempts that lost their lease, newest first, and their number by worker."""

    losses: list[LeaseLoss]
    workers: list[WorkerLosses]


class RegisteredFamily(Row):
    """A family that workers of Dagster runs registered: when last, and how many such workers have registered since."""

    family: str
    seconds: float
    newer: int


class Heartbeat(Row):
    """A heartbeat of a worker, with its counters at that time."""

    worker_id: str | None
    instance_id: UUID | None
    running: int
    counters: Counters
    created_at: Time
