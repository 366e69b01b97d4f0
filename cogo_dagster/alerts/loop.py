"""Passes again and again in a thread of their own, beside whatever a process is there for."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Final

from cogo_dagster.alerts.delivery import Deliverer
from cogo_dagster.alerts.outage import OutageWatch, is_away
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.transports.base import Transport

_PAUSE_SECONDS: Final = 10.0
_PASS_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0


class AlertLoop:
    """Runs a pass every ten seconds or so. Its trouble is said once, and never reaches the process it lives in.

    Args:
        deliverer: Does the passes.
        watch: Tells of a database that is away.
        transport: The database.
        say: Where a sentence about trouble goes.
        pause_seconds: Between two passes, with jitter, so that several processes spread.
    """

    def __init__(
        self,
        deliverer: Deliverer,
        watch: OutageWatch,
        transport: Transport,
        say: Callable[[str], None],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._deliverer = deliverer
        self._watch = watch
        self._transport = transport
        self._say = say
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._said: str | None = None

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
            self._deliverer.run(_PASS_SECONDS)
            self._watch.answers(self._transport)
            self._said = None
        except QueueError as error:
            if is_away(error):
                self._watch.away(error)
            self._tell(error)
        except Exception as error:  # noqa: BLE001 - the process has other work
            self._tell(error)

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_seconds * random.uniform(0.75, 1.25)):  # noqa: S311 - jitter
            self.once()

    def _tell(self, error: Exception) -> None:
        sentence = f"Alerts are not delivered: {error}"
        if sentence != self._said:
            self._said = sentence
            self._say(sentence)
