"""The application behind the server: opened by the first request, and again after an outage."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from threading import Lock
from typing import Any, Final, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.records import GateSummary
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError, TransportError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.queue.stats import History, Numbers, QueueReasons, StatusCounts, TypeHistory

T = TypeVar("T")

PROBE_TIMEOUT_SECONDS: Final = 2.5
"""Limit of the first call after a pause; later calls have the usual limits."""

_RETRY_DELAY_SECONDS: Final = 2.0
"""Time after a failure during which requests fail immediately instead of calling the database."""

READ_TIMEOUT_SECONDS: Final = 10.0
"""Limit of each call of a read request; the server's statement_timeout is 8 s."""

_FRESH_SECONDS: Final = 1.0
"""Time after a successful call during which the database is not probed."""


class ReadTimeout:
    """Limits how long GET requests wait for the database, so that an unresponsive one does not use up the threads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        with call_limit(READ_TIMEOUT_SECONDS):
            await self._app(scope, receive, send)


class FreshNumbers:
    """Forgets the numbers of the queue when a request may have changed them, so that the next request shows the change.

    It does so before the response is sent, and after the background work of the request.
    """

    def __init__(self, app: ASGIApp, backend: "Backend") -> None:
        self._app = app
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return

        is_accepted = False

        async def send_fresh(message: Message) -> None:
            nonlocal is_accepted
            if message["type"] == "http.response.start" and message["status"] < 400:
                is_accepted = True
                self._backend.forget_numbers()
            await send(message)

        try:
            await self._app(scope, receive, send_fresh)
        finally:
            if is_accepted:
                self._backend.forget_numbers()


def _month(application: Application) -> GateSummary:
    midnight = application.gates.summary(0.001).window.end.replace(hour=0, minute=0, second=0, microsecond=0)
    return application.gates.summary(start=midnight - timedelta(days=29), end=midnight + timedelta(days=1))


class Backend:
    """Provides the application to requests.

    Args:
        opener: Opens the application; called again after a failure.
        keep_seconds: How long numbers are cached for all clients; 0 queries the database each time.
    """

    def __init__(self, opener: Callable[[], AbstractContextManager[Application]], *, keep_seconds: float = 1.0) -> None:
        self._open = opener
        self._keep_seconds = keep_seconds
        self._stack = ExitStack()
        self._lock = Lock()
        self._application: Application | None = None
        self._failed: tuple[float, Exception] | None = None
        self._succeeded_at: float | None = None
        self._cache: dict[str, tuple[int, float, Any]] = {}
        self._changes = 0
        self._query_locks: dict[str, Lock] = {}

    @property
    def application(self) -> Application:
        """The application, over a database that responded within the last second.

        One request probes the database for all others, so that an unreachable or unresponsive database blocks
        a single thread.

        Raises:
            QueueError: The database cannot be reached or used.
            SettingsError: The settings describe a database that cannot be used.
        """
        self._raise_while_backing_off()
        application = self._application
        if application is not None and self._recently_probed:
            return application
        with self._lock:
            self._raise_while_backing_off()
            try:
                return self._probed_application()
            except Exception as error:
                self._back_off(error)
                raise

    def probe(self) -> None:
        """Probe the database now, within seconds; raises as `application` does."""
        self._succeeded_at = None
        _ = self.application

    def failed(self, error: Exception) -> None:
        """Record that a call failed. If its outcome is unknown, the next request probes the database first."""
        self._succeeded_at = None
        if not isinstance(error, TransportError):
            self._back_off(error)

    def numbers(self) -> Numbers:
        """Return the queue's numbers, at most a second old."""
        return self._cached("numbers", 1, lambda application: application.stats.numbers())

    def reasons(self) -> QueueReasons:
        """Return why the queued jobs wait, at most 2 s old."""
        return self._cached("reasons", 2, lambda application: application.stats.reasons())

    def counts(self) -> StatusCounts:
        """Return the number of jobs by status, at most 3 s old."""
        return self._cached("counts", 3, lambda application: application.stats.counts())

    def history(self, hours: int = 24) -> History:
        """Return what finished in the last hours, at most 15 s old."""
        return self._cached(f"history {hours}", 15, lambda application: application.stats.history(hours))

    def types(self, buckets: int, bucket_hours: int) -> TypeHistory:
        """Return what finished in the last hours or days by type, at most 15 s old."""
        return self._cached(
            f"types {buckets} {bucket_hours}",
            15,
            lambda application: application.stats.history_by_type(buckets, bucket_hours),
        )

    def month(self) -> GateSummary:
        """Return the numbers of the last 30 UTC days including the current one, at most 60 s old."""
        return self._cached("month", 60, _month)

    def gate(self) -> GateSummary:
        """Return the gate's last 24 hours, at most 10 s old."""
        return self._cached("gate", 10, lambda application: application.gates.summary())

    def open_page(self, query: Callable[[Application], T]) -> T:
        """Return the rows of the page that needs no session, at most 5 s old: one query serves all visitors."""
        return self._cached("open page", 5, query)

    def forget_numbers(self) -> None:
        """Query the database for the next request, because this server changed rows."""
        self._changes += 1

    def close(self) -> None:
        """Close the application if it was opened."""
        with self._lock:
            self._application = None
            self._stack.close()

    def _cached(self, name: str, seconds: float, query: Callable[[Application], T]) -> T:
        # One request queries the database; concurrent ones wait for its result.
        with self._query_locks.setdefault(name, Lock()):
            cached = self._cache.get(name)
            if (
                cached is not None
                and cached[0] == self._changes
                and time.monotonic() - cached[1] < seconds * self._keep_seconds
            ):
                value: T = cached[2]
                return value
            changes = self._changes  # read before the query, which may not see a change that is made during it
            value = query(self.application)
            self._cache[name] = (changes, time.monotonic(), value)
            return value

    def _probed_application(self) -> Application:
        with call_limit(PROBE_TIMEOUT_SECONDS):
            if self._application is None:
                self._application = self._stack.enter_context(self._open())
            elif not self._recently_probed:
                self._application.queue.schema_version()
        self._succeeded_at = time.monotonic()
        return self._application

    def _back_off(self, error: Exception) -> None:
        if not self._backing_off:  # an error from the cache does not extend the delay
            self._failed = (time.monotonic(), error)

    @property
    def _recently_probed(self) -> bool:
        return self._succeeded_at is not None and time.monotonic() - self._succeeded_at < _FRESH_SECONDS

    @property
    def _backing_off(self) -> bool:
        return self._failed is not None and time.monotonic() - self._failed[0] < _RETRY_DELAY_SECONDS

    def _raise_while_backing_off(self) -> None:
        if self._backing_off and self._failed is not None:
            error = self._failed[1]
            raise error if isinstance(error, QueueError) else DatabaseUnavailable(str(error))
