"""Passes again and again in a thread of their own, beside whatever a process is there for."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from cogo_dagster.alerts.deadman import DeadManFailed
from cogo_dagster.alerts.outage import OutageWatch, is_away
from cogo_dagster.queue.backoff import jittered
from cogo_dagster.queue.errors import QueueError

_PAUSE_SECONDS: Final = 10.0
_PASS_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0


class AlertLoop:
    """Runs a pass every ten seconds or so. Its trouble is said once, and never reaches the process it lives in.

    Args:
        deliver: Does one pass of at most so many seconds.
        call_switch: Calls the dead man's switch if that is due.
        watch: Tells of a database that is away.
        say: Where a sentence about trouble goes.
        pause_seconds: Between two passes, with jitter, so that several processes spread.
    """

    def __init__(
        self,
        deliver: Callable[[float], object],
        call_switch: Callable[[], object],
        watch: OutageWatch,
        say: Callable[[str], None],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._deliver = deliver
        self._call_switch = call_switch
        self._watch = watch
        self._say = say
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._said: set[str] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run for as long as the block lasts; a pass under way is waited for, a while."""
        thread = threading.Thread(target=self._run, name="cogo-alerts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(_STOP_SECONDS)

    def once(self) -> None:
        """Do one pass, whatever happens."""
        try:
            self._deliver(_PASS_SECONDS)
            self._call_switch()
            self._said.clear()
        except DeadManFailed as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001 - the process has other work
            self._tell(f"Alerts are not delivered: {error}")
            if isinstance(error, QueueError) and is_away(error):
                self._tell_past_the_database(error)

    def _tell_past_the_database(self, error: QueueError) -> None:
        try:
            self._watch.away(error)
        except Exception as trouble:  # noqa: BLE001 - a full disk, say: the next pass tries again
            self._tell(f"Nobody can be told that the database is away: {trouble}")

    def _run(self) -> None:
        while not self._stopping.wait(jittered(self._pause_seconds, 0.75, 1.25)):
            self.once()

    def _tell(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
