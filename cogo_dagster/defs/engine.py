"""The worker as a Dagster run holds it: the same engine as `cogo worker`, in a thread, followed stage by stage."""

import queue
import threading
from collections.abc import Iterator

from cogo_dagster.queue.stopping import note_stop
from cogo_dagster.queue.worker import EventKind, Stage, Worker, WorkerEvent, WorkerReport, run_worker

_GLANCE_SECONDS = 0.2
_STOP_SECONDS = 60.0


class EngineThread:
    """Runs one worker in a thread with an event loop of its own, and passes its events on."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
        self._finished_stages: set[Stage] = set()
        self._thread: threading.Thread | None = None
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
        self._thread = threading.Thread(target=self._run, name="cogo-worker", daemon=True)
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
                if self._thread is None or not self._thread.is_alive():
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
            self._thread.join(_STOP_SECONDS)
        self._raise_error()
        assert self._report is not None  # noqa: S101 - the thread ends with a report or an error
        return self._report

    def stop_now(self) -> None:
        """Requeue what runs and end; for a run that is interrupted or failed."""
        if self._thread is not None and self._thread.is_alive() and self._worker is not None:
            note_stop()
            self._worker.request_stop(0)
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        assert self._worker is not None  # noqa: S101 - start() sets it
        try:
            self._report = run_worker(self._worker)
        except BaseException as error:  # noqa: BLE001 - carried over to the op that follows
            self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
