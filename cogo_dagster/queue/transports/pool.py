"""A pool of connections without threads of its own: nothing in it waits where its caller does not."""

import select
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from cogo_dagster.queue.connect import Connection
from cogo_dagster.queue.errors import DatabaseUnavailable, TransportError

_MOST_IDLE_SECONDS: Final = 120.0
_MOST_AGE_SECONDS: Final = 3600.0
_LOOK_AFTER_SECONDS: Final = 0.5


class PooledConnection:
    """A connection with what its pool knows of it.

    Attributes:
        connection: Belongs to whoever has taken it.
    """

    __slots__ = ("connection", "idle_since", "opened_at")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.opened_at = self.idle_since = time.monotonic()

    def is_usable(self, opened_after: float) -> bool:
        """Whether nothing speaks against using it; a server that said goodbye meanwhile is noticed without asking."""
        now = time.monotonic()
        idle_seconds = now - self.idle_since
        return (
            not self.connection.closed
            and self.opened_at > opened_after
            and idle_seconds < _MOST_IDLE_SECONDS
            and now - self.opened_at < _MOST_AGE_SECONDS
            and (idle_seconds < _LOOK_AFTER_SECONDS or not _has_news(self.connection))
        )


class Pool:
    """Lends connections; the one given back last is lent first. Safe to use from several threads.

    Args:
        opened: Opens a connection, within the seconds it is given.
        size: Most connections at once.
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

    def take(self, seconds: float) -> PooledConnection:
        """Return a connection that nobody else has until it is given back.

        Args:
            seconds: Longest wait for one that others have, and then for a new one to be opened.

        Raises:
            DatabaseUnavailable: All are in use, or none can be opened.
            AccessDenied: The login is refused.
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
            return self._kept() or PooledConnection(self._opened(seconds))
        except BaseException:
            self._permits.put(None)
            raise

    def give_back(self, taken: PooledConnection) -> None:
        """Take a connection back; a closed one makes room for a new one."""
        taken.idle_since = time.monotonic()
        if taken.is_usable(self._opened_after) and not _is_read_only(taken.connection):
            self._idle.append(taken)
        else:
            taken.connection.close()
        self._permits.put(None)
        if self._closed:
            self._close_idle()

    def distrust(self) -> None:
        """Use no connection again that is open now: what broke one has broken the others."""
        self._opened_after = time.monotonic()
        self._close_idle()

    def close(self) -> None:
        """Close every connection; one in use when it is given back."""
        self._closed = True
        self._close_idle()

    def _kept(self) -> PooledConnection | None:
        while True:
            try:
                kept = self._idle.pop()
            except IndexError:
                return None
            if kept.is_usable(self._opened_after):
                return kept
            kept.connection.close()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().connection.close()
            except IndexError:
                return


def _is_read_only(connection: Connection) -> bool:
    """Whether the server, 14 or newer, has told that it takes no writes any more: others may."""
    told = connection.pgconn.parameter_status
    return told(b"default_transaction_read_only") == b"on" or told(b"in_hot_standby") == b"on"


def _has_news(connection: Connection) -> bool:
    """Whether the server has sent something although nothing was asked: as a rule that it has ended."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))
