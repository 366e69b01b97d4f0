"""What the stages of one worker share: the jobs it holds a lease on, its tools, its signals."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.model import Job, Json, Settlement
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, WorkerEvent, ignore
from cogo_dagster.queue.worker.metrics import WorkerMetrics
from cogo_dagster.queue.worker.options import WorkerOptions
from cogo_dagster.queue.worker.storage import StorageState
from cogo_dagster.queue.workspace import Workspace
from cogo_dagster.redaction import redact


class Abandonment(StrEnum):
    """Why a running execution is cancelled."""

    LEASE_LOST = "lease_lost"
    CANCEL_REQUESTED = "cancel_requested"
    STOPPING = "stopping"
    TIMEOUT = "timeout"


@dataclass(slots=True, eq=False)
class HeldJob:
    """A job between claim and settlement.

    Attributes:
        family: The job's, asked for often.
        lease_deadline: Monotonic second after which the lease may be somebody else's, as far as we know.
        prefetched: Claimed beyond the free slots: its start is recorded before it runs.
        task: The execution, while it runs.
        run_deadline: Monotonic second at which the execution is cancelled.
        abandoned: Why the execution was cancelled.
        abandoned_at: Monotonic second of the cancellation.
        given_up: The execution did not end after its cancellation: its outcome was settled without it.
        settlement: How the attempt ended; there once it has.
        workspace: Where the attempt's files are, once it has ended; None where it left none.
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
        """Cancel the execution; the first reason stands."""
        if self.abandoned is None:
            self.abandoned = why
            self.abandoned_at = time.monotonic()
            if self.task is not None:
                self.task.cancel()


@dataclass(slots=True)
class HeldJobs:
    """All jobs held by one worker. Changed in the worker's loop only; other threads may iterate."""

    _held: set[HeldJob] = field(default_factory=set)

    def add(self, job: Job, lease_deadline: float, *, prefetched: bool = False) -> HeldJob:
        """Hold a claimed job."""
        held = HeldJob(job, job.family, lease_deadline, prefetched)
        self._held.add(held)
        return held

    def release(self, held: HeldJob) -> None:
        """Let go of a job that is settled or lost."""
        self._held.discard(held)

    def overdue(self) -> list[HeldJob]:
        """Return the jobs whose lease may have expired by our own clock."""
        now = time.monotonic()
        return [held for held in self if held.lease_deadline <= now]

    def __iter__(self) -> Iterator[HeldJob]:
        # One bytecode-free step in C, since a HeldJob is hashed by identity: no other thread can come between.
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)


class Phase(Enum):
    """The phases of a worker's end; the value is when each is over, in seconds after the grace period."""

    EXECUTIONS = 4.0
    UPLOADS = 5.0
    SETTLEMENTS = 6.0
    SIGN_OFF = 7.5
    EXECUTOR_STOP = 9.0


_UNHURRIED_SECONDS: Final = 30.0


@dataclass(slots=True)
class WorkerState:
    """The tools, the jobs in hand and the signals of one worker. Used in its loop only, unless it says otherwise.

    Attributes:
        stopping: Claim no more.
        hurry: The grace is over, or a second signal came: requeue what still runs.
        hurry_at: Monotonic second of `hurry`.
        claims_ended: Nothing more will be claimed, for whatever reason.
        wake: Something may be due: claim now instead of at the next poll.
        wakeable: Whether enqueues can wake this worker at all (a LISTEN connection stands).
        told_idle: Whether our row asks for wake-ups.
        doubt: Told when a poll found work that no call had announced.
        loop_alive_at: Monotonic second at which the event loop last ran.
        claims_alive_at: Monotonic second at which the claim loop last claimed, or had a reason not to.
        expiring: Whether leases were left to expire, so that their attempts count.
        stuck: Why the worker cannot go on; None while it can.
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
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    hurry_at: float | None = None
    claims_ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    wakeable: bool = False
    told_idle: bool = False
    doubt: Callable[[], None] = lambda: None
    loop_alive_at: float = field(default_factory=time.monotonic)
    claims_alive_at: float = field(default_factory=time.monotonic)
    expiring: bool = False
    stuck: str | None = None

    def is_stopping(self) -> bool:
        """Whether the worker, or the process it runs in, was asked to stop."""
        return self.stopping.is_set() or STOP.stopped_at() is not None

    def end_now(self) -> None:
        """Begin to requeue what still runs."""
        if self.hurry_at is None:
            self.hurry_at = time.monotonic()
            self.hurry.set()

    def seconds_left(self, phase: Phase) -> float:
        """Return how long a phase of the end may still take."""
        if self.hurry_at is None:
            return _UNHURRIED_SECONDS
        return max(self.hurry_at + phase.value - time.monotonic(), 0.0)

    def release(self, held: HeldJob) -> None:
        """Let go of a job that is settled or lost."""
        self.held.release(held)
        if self.options.linger_seconds is not None and not len(self.held):
            self.wake.set()  # one more claim finds out whether anything is due

    def tell(self, kind: EventKind, stage: Stage, job: Job | None = None, sentence: str = "", **data: Json) -> None:
        """Report one event to the observer, whose own errors are not the worker's."""
        if self.observer is ignore:
            return
        try:
            self.observer(WorkerEvent(kind, stage, job, data, sentence))
        except Exception:  # noqa: BLE001 - a log that cannot be written costs no job
            self.metrics.count("unreported_events")

    def warn(self, sentence: str, job: Job | None = None) -> None:
        """Report trouble that the worker goes on in spite of. Safe in any thread."""
        self.tell(EventKind.WARNING, Stage.CLAIM, job, redact(sentence[:4_000], self.options.secrets))
