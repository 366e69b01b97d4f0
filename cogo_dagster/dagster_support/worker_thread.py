"""The worker of a Dagster run: the worker of `cogo worker` in a thread, followed stage by stage."""

import threading
from collections import deque
from collections.abc import Iterator

from cogo_dagster.queue.stopping import note_stop
from cogo_dagster.queue.worker import EventKind, Stage, Worker, WorkerEvent, WorkerReport, WorkerStuck, run_worker

_POLL_SECONDS = 0.2
_STOP_SECONDS = 60.0
_STAGE_FINISHED = EventKind.STAGE_FINISHED


class WorkerThread:
    """Runs a worker in a thread with its own event loop, and queues its events."""

    def __init__(self) -> None:
        self._events: deque[WorkerEvent] = deque()
        self._arrived = threading.Event()
        self._finished_stages: set[Stage] = set()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._worker: Worker | None = None
        self._report: WorkerReport | None = None
        self._error: BaseException | None = None

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def observe(self, event: WorkerEvent) -> None:
        """Queue an event for the follower. Thread-safe.

        The follower is woken for the end of a stage only: a wake-up for each event slows the worker down.
        """
        self._events.append(event)
        if event.kind is _STAGE_FINISHED:
            self._arrived.set()

    def start(self, worker: Worker) -> None:
        """Start the worker."""
        self._worker = worker
        self._thread = threading.Thread(target=self._run, args=(worker,), name="cogo-worker", daemon=True)
        self._thread.start()

    def follow(self, stage: Stage) -> Iterator[WorkerEvent]:
        """Yield events until the stage has finished.

        Raises:
            Exception: The error that ended the worker early.
        """
        while stage not in self._finished_stages:
            ended = self._thread is None or self._ended.is_set()
            if not self._events:
                if ended:
                    self._raise_error()
                    return
                self._arrived.wait(_POLL_SECONDS)
                self._arrived.clear()
                continue
            event = self._events.popleft()
            if event.kind is _STAGE_FINISHED:
                self._finished_stages.add(event.stage)
            yield event

    def report(self) -> WorkerReport:
        """Wait for the worker to end, and return its report.

        Raises:
            Exception: The error that ended the worker early.
        """
        if self._thread is not None:
            self._ended.wait(_STOP_SECONDS)
        self._raise_error()
        if self._report is None:
            raise TimeoutError(f"All stages have finished, but the worker did not end within {_STOP_SECONDS:g} s.")
        return self._report

    def stop_now(self) -> None:
        """Requeue running jobs and end the worker, after the run was interrupted or failed."""
        if self._thread is not None and not self._ended.is_set() and self._worker is not None:
            note_stop()
            self._worker.request_stop(0)
            self._ended.wait(_STOP_SECONDS)

    def give_up(self, reason: str) -> None:
        """End the run with an error while the thread keeps running, because its event loop is blocked."""
        self._error = WorkerStuck(reason)
        self._ended.set()
        self._arrived.set()

    def _run(self, worker: Worker) -> None:
        try:
            self._report = run_worker(worker)
        except BaseException as error:  # noqa: BLE001 - raised in the op that follows the worker
            self._error = self._error or error
        finally:
            self._ended.set()
            self._arrived.set()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
