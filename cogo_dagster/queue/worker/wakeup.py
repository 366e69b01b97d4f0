"""Wake-ups from the database over a LISTEN connection read by the worker's loop. Polling remains the fallback."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import psycopg
from psycopg.pq import ExecStatus

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.connect import Connection, connect
from cogo_dagster.queue.threads import in_daemon_thread

_FIRST_PAUSE_SECONDS: Final = 0.5
_MAX_PAUSE_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 10.0
_REPLY_SECONDS: Final = 5.0
_PROBE: Final = "show transaction_read_only"
"""`on` at a standby and at a server that was made read-only, where no job can be claimed."""


class Wakeup(Protocol):
    """A source of wake-ups for a worker when jobs may be due."""

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Call `woken` when a job may be due, and `connected` when wake-ups begin or cease; until cancelled."""
        ...

    def report_missed(self) -> None:
        """Handle, in the same loop, that a poll found a job that no wake-up announced."""
        ...


class ListenWakeup:
    """LISTEN on `cogo_jobs`, reconnecting with backoff.

    A connection is replaced if the server stops responding or becomes read-only.

    Args:
        dsn: A direct or session-mode connection; behind a transaction pooler use `NoWakeup`.
        probe_seconds: Time between two checks that the server responds and accepts writes.
        reply_seconds: Timeout of such a check.
    """

    def __init__(
        self, dsn: str, *, probe_seconds: float = _PROBE_SECONDS, reply_seconds: float = _REPLY_SECONDS
    ) -> None:
        self._dsn = dsn
        self._probe_seconds = probe_seconds
        self._reply_seconds = reply_seconds

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen until cancelled."""
        backoff = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS)
        pauses = backoff.pauses()
        while True:
            try:
                connection = await in_daemon_thread(self._connect, lambda late: late.close())
            except Exception:  # noqa: BLE001 - any error is retried; polling continues
                await asyncio.sleep(next(pauses))
                continue
            pauses = backoff.pauses()
            with contextlib.closing(connection):
                connected(True)
                woken()  # a job may have become due before the connection
                try:
                    await _ListenConnection(connection, woken).follow(self._probe_seconds, self._reply_seconds)
                finally:
                    connected(False)

    def report_missed(self) -> None:
        """Do nothing: jobs also become due with time, and a lost connection is detected by the probe."""

    def _connect(self) -> Connection:
        connection = connect(self._dsn, wait_seconds=self._reply_seconds, application_name="cogo listen")
        try:
            connection.execute("listen cogo_jobs")
            _check_writable(connection)
        except BaseException:
            connection.close()
            raise
        return connection


class NoWakeup:
    """The wake-up for connections where LISTEN cannot work: warns once and leaves the worker to polling.

    Behind a transaction pooler LISTEN succeeds and no notification arrives, which would look like an empty queue.

    Args:
        warn: Called in the worker's loop at the start.
    """

    def __init__(self, warn: Callable[[], None]) -> None:
        self._warn = warn

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:  # noqa: ARG002
        """Never call `woken`."""
        self._warn()
        await asyncio.Event().wait()

    def report_missed(self) -> None:
        """Do nothing: no wake-ups are expected."""


def _check_writable(connection: Connection) -> None:
    row = connection.execute(_PROBE).fetchone()
    if row is None or row[0] != "off":
        raise psycopg.OperationalError("the server is read-only")


class _ListenConnection:
    """One connection, read by the event loop itself: nothing here blocks."""

    def __init__(self, connection: Connection, woken: Callable[[], None]) -> None:
        self._pgconn = connection.pgconn
        self._woken = woken
        self._changed = asyncio.Event()
        self._lost = False
        self._probe_pending = False

    async def follow(self, probe_seconds: float, reply_seconds: float) -> None:
        """Pass notifications on until the connection is lost, unresponsive or read-only."""
        loop = asyncio.get_running_loop()
        socket = self._pgconn.socket  # not available after the connection is lost
        loop.add_reader(socket, self._read)
        try:
            while not self._lost:
                await self._wait_for_change(probe_seconds)
                if not self._lost and not self._probe_pending:
                    self._send_probe()
                    await self._wait_for_change(reply_seconds)
                    self._read()  # after the loop was blocked, the result may have arrived unread
                    self._lost = self._lost or self._probe_pending
        finally:
            loop.remove_reader(socket)

    async def _wait_for_change(self, seconds: float) -> None:
        """Wait until the connection is lost, the reply to the probe has arrived, or the timeout expires."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _send_probe(self) -> None:
        try:
            self._pgconn.send_query(_PROBE.encode())
            self._pgconn.flush()
            self._probe_pending = True
        except psycopg.Error:
            self._lost = True

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            self._read_result()
        except psycopg.Error:
            self._lose()
            return
        notified = False
        while self._pgconn.notifies() is not None:
            notified = True
        if notified:
            self._woken()

    def _read_result(self) -> None:
        while self._probe_pending and not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                self._probe_pending = False
                self._changed.set()
            elif result.status != ExecStatus.TUPLES_OK or result.get_value(0, 0) != b"off":
                self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._changed.set()
