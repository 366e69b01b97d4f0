"""The worker as a Dagster run holds it: the same engine as `cogo worker`, in a thread, followed stage by stage."""

import queue
import threading
from collections.abc import Iterator

from cogo_dagster.queue.stopping import note_stop
from cogo_dagster.queue.worker import EventKind, Stage, Worker, WorkerEvent, WorkerReport, WorkerStuck, run_worker

_GLANCE_SECONDS = 0.2
_STOP_SECONDS = 60.0


class EngineThread:
    """Runs one worker in a thread with an event loop of its own, and passes its events on."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
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
        """The observer to give to the worker."""
        self._events.put(event)

    def start(self, worker: Worker) -> None:
        """Begin to work."""
        self._worker = worker
        self._thread = threading.Thread(target=self._run, args=(worker,), name="cogo-worker", daemon=True)
        self._thread.start()

    def follow(self, stage: Stage) -> Iterator[WorkerEvent]:
        """Yield events as they come until the stage has finished.

        Raises:
            Exception: What ended the worker before its time.
        """
        while stage not in self._finished_stages:
            try:
                event = self._events.get(timeout=_GLANCE_SECONDS)
            except queue.Empty:
                if self._thread is None or self._ended.is_set():
                    self._raise_error()
                    return
                continue
            if event.kind is EventKind.STAGE_FINISHED:
                self._finished_stages.add(event.stage)
            yield event

    def report(self) -> WorkerReport:
        """Return what the worker did, after its last stage.

        Raises:
            Exception: What ended the worker before its time.
        """
        if self._thread is not None:
            self._ended.wait(_STOP_SECONDS)
        self._raise_error()
        if self._report is None:
            raise TimeoutError(f"The worker's stages have ended, but the worker has not within {_STOP_SECONDS:g} s.")
        return self._report

    def stop_now(self) -> None:
        """Requeue what runs and end; for a run that is interrupted or failed."""
        if self._thread is not None and not self._ended.is_set() and self._worker is not None:
            note_stop()
            self._worker.request_stop(0)
            self._ended.wait(_STOP_SECONDS)

    def give_up(self, reason: str) -> None:
        """End the run with an error although the worker's thread goes on: its event loop is blocked for good."""
        self._error = WorkerStuck(reason)
        self._ended.set()

    def _run(self, worker: Worker) -> None:
        try:
            self._report = run_worker(worker)
        except BaseException as error:  # noqa: BLE001 - carried over to the op that follows
            self._error = self._error or error
        finally:
            self._ended.set()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
