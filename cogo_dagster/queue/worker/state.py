"""The state that the stages of one worker share: held jobs, clients and signals."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.model import Job, JobError, Json, Outcome, Settlement
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.worker.calls import Calls, Signal
from cogo_dagster.queue.worker.events import EventKind, Observer, SettledAttempt, Stage, WorkerEvent
from cogo_dagster.queue.worker.metrics import WorkerMetrics
from cogo_dagster.queue.worker.options import WorkerOptions
from cogo_dagster.queue.worker.storage import StorageState
from cogo_dagster.queue.workspace import Workspace
from cogo_dagster.redaction import redact


class Abandonment(StrEnum):
    """The reason for cancelling an execution."""

    LEASE_LOST = "lease_lost"
    CANCEL_REQUESTED = "cancel_requested"
    STOPPING = "stopping"
    TIMEOUT = "timeout"


@dataclass(slots=True, eq=False)
class HeldJob:
    """A job between claim and settlement.

    Attributes:
        family: The job's family.
        lease_deadline: Monotonic time after which another worker may hold the lease.
        prefetched: Claimed beyond the free slots; its start is recorded before it runs.
        task: The running execution.
        run_deadline: Monotonic time at which the execution is cancelled.
        abandoned: Why the execution was cancelled.
        abandoned_at: Monotonic time of the cancellation.
        given_up: Whether the job was settled although its execution did not end after the cancellation.
        settlement: The outcome, set when the attempt has ended.
        workspace: The attempt's files, set when it has ended; None if there are none.
    """

    job: Job
    family: str
    lease_deadline: float
    prefetched: bool = False
    task: "asyncio.Task[None] | None" = None
    run_deadline: float = float("inf")
    abandoned: Abandonment | None = None
    abandoned_at: float = 0.0
    started: bool = False
    has_slot: bool = False
    given_up: bool = False
    settlement: Settlement = field(init=False)
    workspace: Workspace | None = None

    def abandon(self, why: Abandonment) -> None:
        """Cancel the execution; only the first reason is kept."""
        if self.abandoned is None:
            self.abandoned = why
            self.abandoned_at = time.monotonic()
            if self.task is not None:
                self.task.cancel()

    def cancelled_settlement(self, timeout_seconds: float) -> Settlement:
        """Return the settlement of an execution that the worker cancelled before or after its start."""
        match self.abandoned:
            case Abandonment.CANCEL_REQUESTED:
                return Settlement(self.job, Outcome.CANCELLED)
            case Abandonment.TIMEOUT:
                message = f"The job ran longer than its timeout of {timeout_seconds:g} s."
                return Settlement(self.job, Outcome.FAILED, error=JobError("timeout", message))
            case _:
                return Settlement(self.job, Outcome.REQUEUED)


@dataclass(slots=True)
class HeldJobs:
    """The jobs held by one worker. Changed in the worker's loop only; other threads may iterate."""

    _held: set[HeldJob] = field(default_factory=set)

    def add(self, job: Job, lease_deadline: float, *, prefetched: bool = False) -> HeldJob:
        """Add a claimed job."""
        held = HeldJob(job, job.family, lease_deadline, prefetched)
        self._held.add(held)
        return held

    def release(self, held: HeldJob) -> None:
        """Remove a job that is settled or whose lease is lost."""
        self._held.discard(held)

    def overdue(self) -> list[HeldJob]:
        """Return the jobs whose lease may have expired according to the local clock."""
        now = time.monotonic()
        return [held for held in self if held.lease_deadline <= now]

    def __iter__(self) -> Iterator[HeldJob]:
        # Atomic under the GIL, since a HeldJob is hashed by identity: another thread cannot change the set in between.
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)


class Phase(Enum):
    """The phases of a force stop; the value is the time limit in seconds since its beginning."""

    EXECUTIONS = 4.0
    UPLOADS = 5.0
    SETTLEMENTS = 6.0
    DEREGISTER = 7.5
    EXECUTOR_STOP = 9.0


_GRACEFUL_SECONDS: Final = 30.0


@dataclass(slots=True)
class WorkerState:
    """The state of one worker. Used in its loop only, unless stated otherwise.

    Attributes:
        stopping: Set when the worker must not claim any more.
        force_stop: Set when the grace period is over or a second signal arrived: running jobs are requeued.
        force_stop_at: Monotonic time of `force_stop`.
        claims_ended: Whether claiming has ended, for any reason.
        wake: Set when a job may be due, to claim before the next poll.
        wakeable: Whether wake-ups can arrive (a LISTEN connection is open).
        reported_idle: Whether the worker's row requests wake-ups.
        report_missed_wakeup: Called when a poll found a job that no wake-up announced.
        loop_alive_at: Monotonic time at which the event loop last ran.
        claims_alive_at: Monotonic time at which the claim loop last claimed, or had a reason not to.
        expiring: Whether leases were left to expire, so that their attempts count.
        stuck: Why the worker is stuck; None if it is not.
    """

    queue: Queue
    store: ArtifactStore
    executors: Mapping[str, Executor]
    identity: WorkerIdentity
    options: WorkerOptions
    observer: Observer
    calls: Calls
    held: HeldJobs = field(default_factory=HeldJobs)
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    storage: StorageState = field(default_factory=StorageState)
    stopping: Signal = field(default_factory=Signal)
    force_stop: Signal = field(default_factory=Signal)
    force_stop_at: float | None = None
    claims_ended: bool = False
    wake: Signal = field(default_factory=Signal)
    wakeable: bool = False
    reported_idle: bool = False
    report_missed_wakeup: Callable[[], None] = lambda: None
    loop_alive_at: float = field(default_factory=time.monotonic)
    claims_alive_at: float = field(default_factory=time.monotonic)
    expiring: bool = False
    stuck: str | None = None

    def is_stopping(self) -> bool:
        """Whether this worker or its process was asked to stop."""
        return self.stopping.is_set() or STOP.stopped_at() is not None

    def begin_force_stop(self) -> None:
        """Begin to requeue running jobs."""
        if self.force_stop_at is None:
            self.force_stop_at = time.monotonic()
            self.force_stop.set()

    def seconds_left(self, phase: Phase) -> float:
        """Return how many seconds remain for a phase of the force stop; a fixed limit before it began."""
        if self.force_stop_at is None:
            return _GRACEFUL_SECONDS
        return max(self.force_stop_at + phase.value - time.monotonic(), 0.0)

    def release(self, held: HeldJob) -> None:
        """Remove a job that is settled or whose lease is lost."""
        self.held.release(held)
        if self.options.linger_seconds is not None and not len(self.held):
            self.wake.set()  # one more claim determines whether anything is due

    def emit(self, kind: EventKind, stage: Stage, job: Job | None, message: str, **data: Json) -> None:
        """Report an event to the observer; errors of the observer are ignored. Thread-safe."""
        try:
            self.observer.event(WorkerEvent(kind, stage, job, data, message))
        except Exception:  # noqa: BLE001 - a log that cannot be written must not fail a job
            self.metrics.count("unreported_events")

    def emit_claimed(self, jobs: Sequence[Job]) -> None:
        """Report the jobs of a claim."""
        try:
            self.observer.claimed(jobs)
        except Exception:  # noqa: BLE001 - as above
            self.metrics.count("unreported_events", len(jobs))

    def emit_executed(self, settlement: Settlement) -> None:
        """Report an ended attempt."""
        try:
            self.observer.executed(settlement)
        except Exception:  # noqa: BLE001 - as above
            self.metrics.count("unreported_events")

    def emit_settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Report settled attempts."""
        if not attempts:
            return
        try:
            self.observer.settled(attempts)
        except Exception:  # noqa: BLE001 - as above
            self.metrics.count("unreported_events", len(attempts))

    def warn(self, message: str, job: Job | None = None) -> None:
        """Report a problem that the worker can continue after. Thread-safe."""
        self.emit(EventKind.WARNING, Stage.CLAIM, job, redact(message[:4_000], self.options.secrets))
