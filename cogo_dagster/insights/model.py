"""The numbers as documents: what the API answers, the pages draw and the commands print."""

from datetime import datetime

from pydantic import BaseModel, Field

from cogo_dagster.queue.tolerant import Measure


class Numbers(BaseModel):
    """The first numbers somebody asks for. Those of waiting jobs stop at 10,000 a lane."""

    ready: int = Field(description="Queued jobs that are due and not paused.")
    ready_by_family: dict[str, int]
    oldest_ready_seconds: float = Field(description="How long the oldest of them has been due.")
    waiting: int = Field(description="Queued jobs whose time has not come.")
    running: int
    running_by_family: dict[str, int]
    expired_leases: int = Field(description="Running jobs whose worker has not renewed in time.")
    succeeded_24h: int
    failed_24h: int
    cancelled_24h: int
    dlq_open: int = Field(description="Dead letters that were neither replayed nor retried.")
    lease_losses_24h: int = Field(description="Attempts whose lease ran out: crashed or cut-off workers.")
    paused: int
    workers_alive: int
    slots_alive: int
    slots_free: int
    slots_by_family: dict[str, int]

    @property
    def queued(self) -> int:
        """All that waits, for whatever reason."""
        return self.ready + self.waiting


class Count(BaseModel):
    """A number of rows; beyond 10,000 it is the planner's estimate."""

    count: int
    exact: bool


class StatusCounts(BaseModel):
    """How many jobs there are of each status."""

    queued: Count
    running: Count
    succeeded: Count
    failed: Count
    cancelled: Count


class Quantiles(BaseModel):
    """The middle and the slow end, in seconds; None where nothing was measured."""

    p50: Measure
    p95: Measure


class Hour(BaseModel):
    """What ended within one hour."""

    start: datetime
    succeeded: int
    failed: int
    cancelled: int


class FamilyHistory(BaseModel):
    """What became of one family's jobs."""

    family: str
    succeeded: int
    failed: int
    run_p50: Measure
    run_p95: Measure


class ErrorCount(BaseModel):
    """How often a class of error ended a job."""

    error_class: str
    count: int


class History(BaseModel):
    """What ended in the last hours."""

    hours: list[Hour]
    families: list[FamilyHistory]
    errors: list[ErrorCount]
    run_seconds: Quantiles
    wait_seconds: Quantiles = Field(description="From enqueue to the first claim.")
    complete: bool = Field(description="False where only the newest 50,000 of a status were read.")


class Latency(BaseModel):
    """A histogram: counts per bucket, not cumulative, with one more bucket than bounds."""

    bounds_seconds: list[float]
    counts: list[float]
    sum_seconds: float


class WorkerTotals(BaseModel):
    """What all workers ever counted, added up."""

    counters: dict[str, float]
    latency: Latency | None
