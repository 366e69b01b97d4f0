"""Wake-up calls from the database: a LISTEN connection read by the worker's own loop. Polling stays the truth."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import psycopg

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0


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

    Args:
        dsn: A direct or session-mode connection; behind a transaction pooler use `NoWakeup`.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen until cancelled."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                link = await asyncio.to_thread(self._connect)
            except psycopg.Error:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause_seconds = _FIRST_PAUSE_SECONDS
            with contextlib.closing(link):
                connected(True)
                woken()  # something may have become due while nobody listened
                try:
                    await _follow(link, woken)
                finally:
                    connected(False)

    def doubt(self) -> None:
        """Think nothing of it: jobs also become due with time, and a lost connection is noticed."""

    def _connect(self) -> psycopg.Connection:
        link = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            application_name="cogo listen",
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
        )
        link.execute("listen cogo_jobs")
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


async def _follow(link: psycopg.Connection, woken: Callable[[], None]) -> None:
    """Pass notifications on until the connection is lost."""
    loop = asyncio.get_running_loop()
    lost = asyncio.Event()
    wire = link.pgconn
    socket = wire.socket  # a lost connection does not tell it any more

    def readable() -> None:
        try:
            wire.consume_input()
        except psycopg.Error:
            lost.set()
            return
        notified = False
        while wire.notifies() is not None:
            notified = True
        if notified:
            woken()

    loop.add_reader(socket, readable)
    try:
        await lost.wait()
    finally:
        loop.remove_reader(socket)
