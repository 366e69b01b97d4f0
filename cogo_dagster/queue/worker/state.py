"""What the stages of one worker share."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, WorkerEvent
from cogo_dagster.queue.worker.held import HeldJob, HeldJobs
from cogo_dagster.queue.worker.metrics import WorkerMetrics
from cogo_dagster.queue.worker.options import WorkerOptions
from cogo_dagster.queue.worker.storage import StorageState
from cogo_dagster.redaction import redact


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
        try:
            self.observer(WorkerEvent(kind, stage, job, data, sentence))
        except Exception:  # noqa: BLE001 - a log that cannot be written costs no job
            self.metrics.count("unreported_events")

    def warn(self, sentence: str, job: Job | None = None) -> None:
        """Report trouble that the worker goes on in spite of. Safe in any thread."""
        self.tell(EventKind.WARNING, Stage.CLAIM, job, redact(sentence[:4_000], self.options.secrets))
