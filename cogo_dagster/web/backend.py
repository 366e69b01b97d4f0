"""What stands behind the pages: the application, opened when it is first asked for and again after an outage."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Lock
from typing import Any, Final, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.records import GateSummary
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError, TransportError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.queue.stats import History, Numbers, StatusCounts

T = TypeVar("T")

PATIENCE_SECONDS: Final = 2.5
"""For the first sign of the database; whoever has seen it waits for an answer as long as others do."""

_REST_SECONDS: Final = 2.0
"""So long after a failure nobody asks an absent database again: each question takes time."""

READ_SECONDS: Final = 10.0
"""For each call that a page or an answer is made of; the database itself ends one after 8 s."""

_TRUST_SECONDS: Final = 1.0
"""So long after an answer nobody asks first whether the database is there."""


class Patience:
    """Limits how long reading waits for the database, so that a silent one does not keep the threads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        with call_limit(READ_SECONDS):
            await self._app(scope, receive, send)


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
        self._answered_at: float | None = None
        self._kept: dict[str, tuple[float, Any]] = {}
        self._asking: dict[str, Lock] = {}

    @property
    def application(self) -> Application:
        """The application, over a database that has just answered.

        One of those who ask finds that out, for all, within seconds: an absent database, or one that keeps its
        connections and says nothing, takes no other thread.

        Raises:
            QueueError: The database cannot be reached or used.
            SettingsError: The settings choose one that cannot be used.
        """
        self._refuse_while_resting()
        application = self._application
        if application is not None and self._trusted:
            return application
        with self._lock:
            self._refuse_while_resting()
            try:
                return self._seen_application()
            except Exception as error:
                self._rest(error)
                raise

    def look(self) -> None:
        """Ask now whether the database is there, for an answer within seconds; raises as `application` does."""
        self._answered_at = None
        _ = self.application

    def failed(self, error: Exception) -> None:
        """Take note of a call's failure. Where its outcome is open, the next to ask looks first what is wrong."""
        self._answered_at = None
        if not isinstance(error, TransportError):
            self._rest(error)

    def numbers(self) -> Numbers:
        """Return the first numbers, of this second."""
        return self._fresh("numbers", 1, lambda application: application.stats.numbers())

    def counts(self) -> StatusCounts:
        """Return how many jobs there are of each status, of the last seconds."""
        return self._fresh("counts", 3, lambda application: application.stats.counts())

    def history(self, hours: int = 24) -> History:
        """Return what ended in the last hours, as of the last quarter of a minute."""
        return self._fresh(f"history {hours}", 15, lambda application: application.stats.history(hours))

    def gate(self) -> GateSummary:
        """Return the gate's last 24 hours, as of the last seconds."""
        return self._fresh("gate", 10, lambda application: application.gates.summary())

    def open_page(self, ask: Callable[[Application], T]) -> T:
        """Return the rows of the page that needs no session, as of the last seconds: visitors cost one query."""
        return self._fresh("open page", 5, ask)

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

    def _seen_application(self) -> Application:
        with call_limit(PATIENCE_SECONDS):
            if self._application is None:
                self._application = self._stack.enter_context(self._open())
            elif not self._trusted:
                self._application.queue.schema_version()
        self._answered_at = time.monotonic()
        return self._application

    def _rest(self, error: Exception) -> None:
        if not self._resting:  # an answer from memory prolongs nothing
            self._failed = (time.monotonic(), error)

    @property
    def _trusted(self) -> bool:
        return self._answered_at is not None and time.monotonic() - self._answered_at < _TRUST_SECONDS

    @property
    def _resting(self) -> bool:
        return self._failed is not None and time.monotonic() - self._failed[0] < _REST_SECONDS

    def _refuse_while_resting(self) -> None:
        if self._resting and self._failed is not None:
            error = self._failed[1]
            raise error if isinstance(error, QueueError) else DatabaseUnavailable(str(error))
