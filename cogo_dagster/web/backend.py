"""What stands behind the pages: the application, opened when it is first asked for and again after an outage."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Lock
from typing import Any, Final, TypeVar

from cogo_dagster.bootstrap import Application
from cogo_dagster.insights.model import History, Numbers, StatusCounts
from cogo_dagster.quality.model import GateSummary
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError

T = TypeVar("T")

_REST_SECONDS: Final = 2.0
"""So long after a failure nobody asks an absent database again: each question waits for ten seconds."""


class Backend:
    """Lends the application to requests.

    Args:
        open_it: Opens the application; called again after it failed.
        keep_seconds: How long a number stays good for everybody who looks; 0 asks each time.
    """

    def __init__(
        self, open_it: Callable[[], AbstractContextManager[Application]], *, keep_seconds: float = 1.0
    ) -> None:
        self._open = open_it
        self._keep_seconds = keep_seconds
        self._stack = ExitStack()
        self._lock = Lock()
        self._application: Application | None = None
        self._failed: tuple[float, Exception] | None = None
        self._kept: dict[str, tuple[float, Any]] = {}
        self._asking: dict[str, Lock] = {}

    @property
    def application(self) -> Application:
        """The application.

        Raises:
            QueueError: The database cannot be reached or used.
            SettingsError: The settings choose one that cannot be used.
        """
        self._refuse_while_resting()
        with self._lock:
            if self._application is None:
                try:
                    self._application = self._stack.enter_context(self._open())
                except Exception as error:
                    self.failed(error)
                    raise
        return self._application

    def failed(self, error: Exception) -> None:
        """Take note that the database could not be reached; an answer from memory prolongs nothing."""
        if not self._resting:
            self._failed = (time.monotonic(), error)

    def numbers(self) -> Numbers:
        """Return the first numbers, of this second."""
        return self._fresh("numbers", 1, lambda application: application.insights.numbers())

    def counts(self) -> StatusCounts:
        """Return how many jobs there are of each status, of the last seconds."""
        return self._fresh("counts", 3, lambda application: application.insights.counts())

    def history(self, hours: int = 24) -> History:
        """Return what ended in the last hours, as of the last quarter of a minute."""
        return self._fresh(f"history {hours}", 15, lambda application: application.insights.history(hours))

    def gate(self) -> GateSummary:
        """Return the gate's last 24 hours, as of the last seconds."""
        return self._fresh("gate", 10, lambda application: application.gates.summary())

    def close(self) -> None:
        """Close the application if it was opened."""
        with self._lock:
            self._application = None
            self._stack.close()

    def _fresh(self, name: str, seconds: float, ask: Callable[[Application], T]) -> T:
        # One of those who look asks, the others wait for its answer.
        with self._asking.setdefault(name, Lock()):
            kept = self._kept.get(name)
            if kept is not None and time.monotonic() - kept[0] < seconds * self._keep_seconds:
                value: T = kept[1]
                return value
            value = ask(self.application)
            self._kept[name] = (time.monotonic(), value)
            return value

    @property
    def _resting(self) -> bool:
        return self._failed is not None and time.monotonic() - self._failed[0] < _REST_SECONDS

    def _refuse_while_resting(self) -> None:
        if self._resting and self._failed is not None:
            error = self._failed[1]
            raise error if isinstance(error, QueueError) else DatabaseUnavailable(str(error))
