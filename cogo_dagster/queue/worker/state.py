"""What the stages of one worker share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, WorkerEvent
from cogo_dagster.queue.worker.held import HeldJobs
from cogo_dagster.queue.worker.metrics import WorkerMetrics
from cogo_dagster.queue.worker.options import WorkerOptions
from cogo_dagster.redaction import redact


@dataclass(slots=True)
class WorkerState:
    """The tools, the jobs in hand and the signals of one worker. Used in its loop only.

    Attributes:
        stopping: Claim no more.
        hurry: The grace is over, or a second signal came: requeue what still runs.
        wake: Something may be due: claim now instead of at the next poll.
        wakeable: Whether enqueues can wake this worker at all (a LISTEN connection stands).
        told_idle: Whether our row asks for wake-ups.
        doubt: Told when a poll found work that no call had announced.
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
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    wakeable: bool = False
    told_idle: bool = False
    doubt: Callable[[], None] = lambda: None

    def tell(self, kind: EventKind, stage: Stage, job: Job | None = None, sentence: str = "", **data: Json) -> None:
        """Report one event to the observer."""
        self.observer(WorkerEvent(kind, stage, job, data, sentence))

    def warn(self, sentence: str, job: Job | None = None) -> None:
        """Report trouble that the worker goes on in spite of."""
        self.tell(EventKind.WARNING, Stage.CLAIM, job, redact(sentence, self.options.secrets))
