"""Wake-up calls from the database: a LISTEN connection read by the worker's own loop. Polling stays the truth."""

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
_LONGEST_PAUSE_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 5.0
_PROBE: Final = "show transaction_read_only"
"""On at a standby, and at a server that was made read-only: its jobs are claimed elsewhere."""


class Wakeup(Protocol):
    """Something that can call the worker when jobs may be due."""

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Call `woken` whenever something may be due, and say whether calls can come at all; until cancelled."""
        ...

    def doubt(self) -> None:
        """Be told, in the same loop, that a poll found work that no call had announced."""
        ...


class ListenWakeup:
    """LISTEN on `cogo_jobs`, reconnecting with growing pauses.

    A connection whose server stays silent or takes no writes any more is replaced.

    Args:
        dsn: A direct or session-mode connection; behind a transaction pooler use `NoWakeup`.
        probe_seconds: Between two questions to the server whether it is still there and writable.
        answer_seconds: For its answer.
    """

    def __init__(
        self, dsn: str, *, probe_seconds: float = _PROBE_SECONDS, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._dsn = dsn
        self._probe_seconds = probe_seconds
        self._answer_seconds = answer_seconds

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen until cancelled."""
        backoff = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_LONGEST_PAUSE_SECONDS)
        pauses = backoff.pauses()
        while True:
            try:
                link = await in_daemon_thread(self._connect, lambda late: late.close())
            except Exception:  # noqa: BLE001 - whatever it is, it is tried again: polling goes on meanwhile
                await asyncio.sleep(next(pauses))
                continue
            pauses = backoff.pauses()
            with contextlib.closing(link):
                connected(True)
                woken()  # something may have become due while nobody listened
                try:
                    await _ListenConnection(link, woken).follow(self._probe_seconds, self._answer_seconds)
                finally:
                    connected(False)

    def doubt(self) -> None:
        """Think nothing of it: jobs also become due with time, and a lost connection is noticed."""

    def _connect(self) -> Connection:
        link = connect(self._dsn, wait_seconds=self._answer_seconds, application_name="cogo listen")
        try:
            link.execute("listen cogo_jobs")
            _require_writable(link)
        except BaseException:
            link.close()
            raise
        return link


class NoWakeup:
    """Where LISTEN cannot work: says so once, and leaves the worker to polling.

    Behind a transaction pooler LISTEN succeeds and nothing ever arrives, which would look like an idle queue.

    Args:
        warn: Called in the worker's loop when it begins.
    """

    def __init__(self, warn: Callable[[], None]) -> None:
        self._warn = warn

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:  # noqa: ARG002
        """Never call."""
        self._warn()
        await asyncio.Event().wait()

    def doubt(self) -> None:
        """Nothing was promised."""


def _require_writable(link: Connection) -> None:
    row = link.execute(_PROBE).fetchone()
    if row is None or row[0] != "off":
        raise psycopg.OperationalError("the server takes no writes")


class _ListenConnection:
    """One connection, read and asked by the loop itself: nothing here blocks."""

    def __init__(self, link: Connection, woken: Callable[[], None]) -> None:
        self._wire = link.pgconn
        self._woken = woken
        self._changed = asyncio.Event()
        self._lost = False
        self._asked = False

    async def follow(self, probe_seconds: float, answer_seconds: float) -> None:
        """Pass notifications on until the connection is lost, silent or of no use."""
        loop = asyncio.get_running_loop()
        socket = self._wire.socket  # a lost connection does not tell it any more
        loop.add_reader(socket, self._read)
        try:
            while not self._lost:
                await self._news(probe_seconds)
                if not self._lost and not self._asked:
                    self._ask()
                    await self._news(answer_seconds)
                    self._read()  # after a loop that was busy the answer may be there, unread
                    self._lost = self._lost or self._asked
        finally:
            loop.remove_reader(socket)

    async def _news(self, seconds: float) -> None:
        """Wait until the connection is lost or the question answered, or the time is up."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _ask(self) -> None:
        try:
            self._wire.send_query(_PROBE.encode())
            self._wire.flush()
            self._asked = True
        except psycopg.Error:
            self._lost = True

    def _read(self) -> None:
        try:
            self._wire.consume_input()
            self._take_answer()
        except psycopg.Error:
            self._lose()
            return
        notified = False
        while self._wire.notifies() is not None:
            notified = True
        if notified:
            self._woken()

    def _take_answer(self) -> None:
        while self._asked and not self._wire.is_busy():
            result = self._wire.get_result()
            if result is None:
                self._asked = False
                self._changed.set()
            elif result.status != ExecStatus.TUPLES_OK or result.get_value(0, 0) != b"off":
                self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._changed.set()
