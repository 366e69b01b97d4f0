"""The queue's statistics, shared by the API, the pages and the commands."""

from datetime import datetime
from typing import Final

from pydantic import Field

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Measure
from cogo_dagster.queue.transports.base import Transport

MAX_QUEUED: Final = 50_000
"""The number up to which all queued jobs are counted."""

MAX_PER_LANE: Final = 10_000
"""The number up to which the jobs of a family and executor ID are counted."""


class Numbers(Row):
    """The main statistics. Numbers of waiting jobs stop at 10,000 per lane."""

    queued: int = Field(description="Queued jobs, for any reason; counted up to 50,000.")
    ready: int = Field(description="Queued jobs that are due and not paused.")
    ready_by_family: dict[str, int]
    oldest_ready_seconds: float = Field(description="How long the oldest ready job has been due.")
    waiting: int = Field(description="Queued jobs that are not due yet.")
    running: int
    running_by_family: dict[str, int]
    expired_leases: int = Field(description="Running jobs whose lease has expired.")
    succeeded_24h: int
    failed_24h: int
    cancelled_24h: int
    dlq_open: int = Field(description="Dead-lettered jobs that were neither replayed nor retried.")
    lease_losses_24h: int = Field(description="Attempts whose lease expired, since the worker crashed or was cut off.")
    jobs_with_lease_losses_24h: int = Field(description="Jobs with such an attempt.")
    paused: int
    alerts_firing: int
    workers_alive: int
    slots_alive: int
    slots_free: int
    slots_by_family: dict[str, int]
    running_by_instance: dict[str, int] = Field(exclude=True)

    @property
    def has_more_queued(self) -> bool:
        """Whether more jobs may be queued than were counted."""
        return self.queued >= MAX_QUEUED

    @property
    def has_more_ready(self) -> bool:
        """Whether more jobs may be due than were counted."""
        return any(count >= MAX_PER_LANE for count in self.ready_by_family.values())


class Count(Row):
    """A number of rows; above 10,000 it is the planner's estimate."""

    count: int
    exact: bool


class StatusCounts(Row):
    """The number of jobs by status."""

    queued: Count
    running: Count
    succeeded: Count
    failed: Count
    cancelled: Count


class WaitReason(Row):
    """Queued jobs of one family and executor ID that wait for one cause."""

    family: str
    executor_id: str | None
    why: str = Field(description="As of a job: paused, waiting, no_worker, no_executor, no_address, busy or in_line.")
    count: int
    stranded: bool = Field(description="Whether the jobs are due and no live worker can claim them.")
    oldest_seconds: float | None = Field(description="How long the oldest of them has been due.")
    next_run_at: MaybeTime = Field(description="When the first of those that are not due becomes due.")
    kind: str | None = Field(description="What is paused: type or executor.")
    name: str | None
    paused_at: MaybeTime
    actor: str | None
    reason: str | None
    slots: int = Field(description="Slots of the live workers that can run them.")

    @property
    def has_more(self) -> bool:
        """Whether more jobs may wait for it than were counted."""
        return self.count >= MAX_PER_LANE


class QueueReasons(Row):
    """Why the queued jobs wait, stranded ones first, then those that have been due for longest."""

    reasons: list[WaitReason]
    queued: int
    stranded: int
    left_out: int = Field(description="Number of reasons that are not in the list.")

    @property
    def has_more(self) -> bool:
        """Whether more jobs may be queued than were counted."""
        return any(reason.has_more for reason in self.reasons)


class Quantiles(Row):
    """The median and high percentiles in seconds; None if nothing was measured."""

    p50: Measure
    p95: Measure


class Hour(Row):
    """The attempts that ended within one hour."""

    start: datetime
    succeeded: int
    failed: int
    cancelled: int


class FamilyHistory(Row):
    """The history of one family's jobs."""

    family: str
    succeeded: int
    failed: int
    run_p50: Measure
    run_p95: Measure


class ErrorCount(Row):
    """The number of jobs that failed with an error class."""

    error_class: str
    count: int


class History(Row):
    """The attempts that ended in the last hours."""

    hours: list[Hour]
    families: list[FamilyHistory]
    errors: list[ErrorCount]
    run_seconds: Quantiles = Field(description="Of all jobs that succeeded, each rounded to three digits.")
    wait_seconds: Quantiles = Field(
        description="From enqueue to the claim, of all jobs that succeeded at their first attempt; rounded likewise."
    )
    complete: bool = Field(description="True: all jobs are counted.")


class TypeFrequencies(Row):
    """Finished jobs of one type, per hour or day; all other types together if `type` is None."""

    type: str | None
    counts: list[int]


class TypeHistory(Row):
    """Finished jobs by type, per hour or day."""

    starts: list[datetime]
    types: list[TypeFrequencies] = Field(description="The most frequent types first.")


class Latency(Row):
    """A histogram with counts per bucket, not cumulative, and one more bucket than bounds."""

    bounds_seconds: list[float]
    counts: list[float]
    sum_seconds: float


class WorkerTotals(Row):
    """The sum of all workers' counters."""

    counters: dict[str, float]
    latency: Latency | None


class QueueNumbers:
    """Reads statistics. Thread-safe; has no state.

    Every method raises `QueueError` (see `queue.errors`).
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def numbers(self) -> Numbers:
        """Return the main statistics."""
        return Numbers.model_validate(self._call("queue_numbers"))

    def reasons(self, max_reasons: int = 100) -> QueueReasons:
        """Return why the queued jobs wait, by family, executor ID and cause."""
        return QueueReasons.model_validate(self._call("explain_queue", max_reasons=max_reasons))

    def counts(self) -> StatusCounts:
        """Return the number of jobs by status."""
        return StatusCounts.model_validate(self._call("count_jobs"))

    def history(self, hours: int = 24) -> History:
        """Return the jobs that ended in the last `hours`, 1 to 168."""
        return History.model_validate(self._call("job_history", hours=hours))

    def history_by_type(self, buckets: int = 24, bucket_hours: int = 1) -> TypeHistory:
        """Return the jobs that ended in the last hours or days, by type.

        Args:
            buckets: Number of hours or days, 1 to 168.
            bucket_hours: 1 or 24.
        """
        found = self._call("job_history_by_type", buckets=buckets, bucket_hours=bucket_hours)
        return TypeHistory.model_validate(found)

    def worker_totals(self) -> WorkerTotals:
        """Return the sum of all workers' counters and run-time histograms, since the first worker."""
        return WorkerTotals.model_validate(self._call("worker_totals"))

    def _call(self, function: str, **arguments: Json) -> Json:
        return self._transport.call(function, arguments)
