"""Runs delivery passes periodically in a background thread of a long-running process."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from cogo_dagster.alerts.deadman import DeadManFailed
from cogo_dagster.alerts.outage import OutageWatch, is_unreachable
from cogo_dagster.queue.backoff import jittered
from cogo_dagster.queue.errors import QueueError

_PAUSE_SECONDS: Final = 10.0
_PASS_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0


class AlertLoop:
    """Runs a pass about every ten seconds. An error is logged once and does not end the process.

    Args:
        deliver: Runs a pass of at most the given number of seconds.
        call_switch: Calls the dead man's switch if it is due.
        watch: Reports an unreachable database to the targets.
        log: Called with messages about failures.
        pause_seconds: Pause between two passes, with jitter.
    """

    def __init__(
        self,
        deliver: Callable[[float], object],
        call_switch: Callable[[], object],
        watch: OutageWatch,
        log: Callable[[str], None],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._deliver = deliver
        self._call_switch = call_switch
        self._watch = watch
        self._log = log
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._reported: set[str] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run in a thread until the block ends; then wait for the current pass, up to 20 s."""
        thread = threading.Thread(target=self._run, name="cogo-alerts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(_STOP_SECONDS)

    def run_once(self) -> None:
        """Run one pass; never raises."""
        try:
            self._deliver(_PASS_SECONDS)
            self._call_switch()
            self._reported.clear()
        except DeadManFailed as error:
            self._report(str(error))
        except Exception as error:  # noqa: BLE001 - alerts must not end the process
            self._report(f"Alerts are not delivered: {error}")
            if isinstance(error, QueueError) and is_unreachable(error):
                self._report_outage(error)

    def _report_outage(self, error: QueueError) -> None:
        try:
            self._watch.database_down(error)
        except Exception as failure:  # noqa: BLE001 - for example a full disk: the next pass tries again
            self._report(f"The outage of the database cannot be reported: {failure}")

    def _run(self) -> None:
        while not self._stopping.wait(jittered(self._pause_seconds, 0.75, 1.25)):
            self.run_once()

    def _report(self, message: str) -> None:
        if message not in self._reported:
            self._reported.add(message)
            self._log(message)
