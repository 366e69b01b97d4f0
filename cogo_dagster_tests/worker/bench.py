"""Runs workers to their end, or in a thread while a test observes them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.worker import (
    EventKind,
    EventObserver,
    Worker,
    WorkerEvent,
    WorkerOptions,
    WorkerReport,
    run_worker,
)
from cogo_dagster.queue.worker.wakeup import Wakeup
from cogo_dagster_tests.polling import pause

TIMEOUT_SECONDS = 60.0

QUIET: dict[str, Any] = {
    "poll_seconds": 0.2,
    "heartbeat_seconds": 3600,
    "recover_seconds": 3600,
    "sweep_seconds": 3600,
    "store_check_seconds": 0.1,
}
"""Disables background tasks; a test enables those that it is about."""


@dataclass
class Running:
    """A worker in a thread.

    Attributes:
        events: Events reported so far.
    """

    worker: Worker
    identity: WorkerIdentity
    events: list[WorkerEvent]
    _thread: threading.Thread | None = None
    _report: WorkerReport | None = None
    _error: BaseException | None = None

    def report(self, seconds: float = TIMEOUT_SECONDS) -> WorkerReport:
        """Wait for the worker's end; an exception of the worker is raised here."""
        assert self._thread is not None
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "The worker does not end."
        if self._error is not None:
            raise self._error
        assert self._report is not None
        return self._report

    def events_of(self, kind: EventKind) -> list[WorkerEvent]:
        """Return the events of one kind so far."""
        return [event for event in list(self.events) if event.kind is kind]

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._report = run_worker(self.worker)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._error = error


@dataclass
class Bench:
    """The queue and the store that workers use."""

    queue: Queue
    store: ArtifactStore
    started: list[Running] = field(default_factory=list)

    def worker(
        self,
        *executors: Executor,
        queue: Queue | None = None,
        wakeup: Wakeup | None = None,
        identity: WorkerIdentity | None = None,
        **options: Any,
    ) -> Running:
        """Return a worker that is not started."""
        events: list[WorkerEvent] = []
        identity = identity or WorkerIdentity("worker", uuid4())
        chosen = WorkerOptions(**{**QUIET, **options})
        worker = Worker(
            queue or self.queue,
            self.store,
            executors,
            identity,
            chosen,
            wakeup=wakeup,
            observer=EventObserver(events.append),
        )
        return Running(worker, identity, events)

    @contextmanager
    def running(self, *executors: Executor, **options: Any) -> Iterator[Running]:
        """Run a worker in a thread inside the context."""
        running = self.worker(*executors, **options)
        running.start()
        self.started.append(running)
        try:
            yield running
        finally:
            running.worker.request_stop(0)
            running.report()

    def drain(self, *executors: Executor, **options: Any) -> WorkerReport:
        """Run a worker until nothing is due."""
        running = self.worker(*executors, linger_seconds=0, **options)
        running.start()
        return running.report()


def wait_for_calls() -> None:
    """Wait for the calls of ended workers: the end of a process stops them, while threads continue after a worker."""
    for thread in threading.enumerate():
        if thread.name.startswith(("cogo-call", "cogo-executor", "cogo-renew")):
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive(), "A call of an ended worker does not return."


def eventually(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Poll until a condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + seconds, f"It never happened that {what}."
        pause(started)
