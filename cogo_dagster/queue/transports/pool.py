"""A connection pool without background threads."""

import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from cogo_dagster.queue.connect import Connection
from cogo_dagster.queue.errors import DatabaseUnavailable, TransportError

_MAX_IDLE_SECONDS: Final = 120.0
_MAX_AGE_SECONDS: Final = 3600.0
_CHECK_AFTER_SECONDS: Final = 0.5


class PooledConnection:
    """A connection and its state in the pool.

    Attributes:
        connection: Used by one caller at a time.
        functions: The functions that were called on it, for which its session has plans.
        prepared: The statements that were prepared for calls in an event loop.
    """

    __slots__ = ("connection", "functions", "idle_since", "opened_at", "prepared")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.functions: set[str] = set()
        self.prepared: set[bytes] = set()
        self.opened_at = self.idle_since = time.monotonic()

    def is_usable(self, opened_after: float) -> bool:
        """Whether the connection may be used; a connection closed by the server is detected without a query."""
        now = time.monotonic()
        idle_seconds = now - self.idle_since
        return (
            not self.connection.closed
            and self.opened_at > opened_after
            and idle_seconds < _MAX_IDLE_SECONDS
            and now - self.opened_at < _MAX_AGE_SECONDS
            and (idle_seconds < _CHECK_AFTER_SECONDS or not _has_unread_input(self.connection))
        )


class Pool:
    """A pool of connections. Thread-safe.

    A call gets the connection that was used last, of those whose session has plans for its function if there are any:
    the first call in a session takes 5 to 10 ms more.

    Args:
        opened: Opens a connection within the given number of seconds.
        size: Maximum number of connections.
    """

    def __init__(self, opened: Callable[[float], Connection], size: int) -> None:
        self._opened = opened
        self._size = size
        self._idle: deque[PooledConnection] = deque()
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._permits.put(None)
        self._opened_after = 0.0
        self._closed = False

    def take(self, seconds: float, function: str = "") -> PooledConnection:
        """Check out a connection.

        Args:
            seconds: Timeout of the wait for a connection, and then of opening a new one.
            function: The function to be called.

        Raises:
            DatabaseUnavailable: All connections are in use, or a new one cannot be opened.
            AccessDenied: The login was rejected.
            TransportError: The pool is closed.
        """
        if self._closed:
            raise TransportError("This transport is closed: the call was not made.")
        try:
            self._permits.get(timeout=max(0, seconds))
        except Empty:
            raise DatabaseUnavailable(
                f"All {self._size} connections to the database were in use for {seconds:.1f} s: raise COGO_POOL_SIZE."
            ) from None
        try:
            return self._take_idle(function) or PooledConnection(self._opened(seconds))
        except BaseException:
            self._permits.put(None)
            raise

    def take_idle(self, function: str) -> PooledConnection | None:
        """Check out an open connection; None if there is none, without waiting."""
        try:
            self._permits.get_nowait()
        except Empty:
            return None
        idle = None if self._closed else self._take_idle(function)
        if idle is None:
            self._permits.put(None)
        return idle

    def put_back(self, taken: PooledConnection) -> None:
        """Return a connection to the pool; a closed one is replaced at the next checkout."""
        taken.idle_since = time.monotonic()
        if taken.is_usable(self._opened_after) and not _is_read_only(taken.connection):
            self._idle.append(taken)
        else:
            taken.connection.close()
        self._permits.put(None)
        if self._closed:
            self._close_idle()

    def expire_all(self) -> None:
        """Do not reuse any connection opened so far: the cause that broke one has likely broken the others."""
        self._opened_after = time.monotonic()
        self._close_idle()

    def close(self) -> None:
        """Close every connection; those in use are closed when they are returned to the pool."""
        self._closed = True
        self._close_idle()

    def _take_idle(self, function: str) -> PooledConnection | None:
        while True:
            try:
                idle = self._with_plan(function) or self._idle.pop()
            except IndexError:
                return None
            if idle.is_usable(self._opened_after):
                return idle
            idle.connection.close()

    def _with_plan(self, function: str) -> PooledConnection | None:
        for idle in reversed(list(self._idle)):
            if function in idle.functions:
                with suppress(ValueError):  # another thread has taken it
                    self._idle.remove(idle)
                    return idle
        return None

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().connection.close()
            except IndexError:
                return


def _is_read_only(connection: Connection) -> bool:
    """Whether the server, version 14 or newer, has reported that it is read-only."""
    parameter = connection.pgconn.parameter_status
    return parameter(b"default_transaction_read_only") == b"on" or parameter(b"in_hot_standby") == b"on"


def _has_unread_input(connection: Connection) -> bool:
    """Whether the server has sent data without a query, usually because it closed the connection."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))
