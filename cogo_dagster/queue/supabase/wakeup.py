"""Wake-up calls over a project's Realtime. Polling stays the truth: losing Realtime for good costs only latency.

The one asynchronous client of the project, kept apart from all others. It mends short breaks by itself, and does not
notice when its server has gone quiet, closes the channel, or stays away for long. So nothing is believed here before it
is seen: calls count as coming only once one has come, which the worker brings about by asking the database for one;
whenever a poll finds work that no call announced, they have to be seen to come again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from realtime import (
    AsyncRealtimeChannel,
    AsyncRealtimeClient,
    RealtimeChannelOptions,
    RealtimeSubscribeStates,
)

from cogo_dagster.queue.backoff import Backoff, jittered
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.threads import in_daemon_thread

CHANNEL: Final = "cogo_jobs"
EVENT: Final = "wakeup"

_CHECK_SECONDS: Final = 30.0
_PROOF_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 15.0
_RENEW_SECONDS: Final = 4 * 3600.0
_WITHOUT_BROADCAST_SECONDS: Final = 3600.0
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 300.0
_CALLS: Final = 2
"""A server may say that the channel is joined before it has begun to read the database's messages."""

_PRIVATE: Final[RealtimeChannelOptions] = {
    "config": {
        "broadcast": {"ack": False, "self": False},
        "presence": {"key": "", "enabled": False},
        "private": True,
    }
}
_MOST_RETRIES: Final = 500
"""The client's own stock five last some 15 s; above a thousand its pauses overflow."""

# The client logs every failed attempt as an error; what matters of that is said here.
logging.getLogger("realtime").addHandler(logging.NullHandler())
logging.getLogger("realtime").propagate = False


class RealtimeWakeup:
    """Listens on the project's channel, and supervises the connection.

    Args:
        project: Where, and with which key.
        send_wakeup: Asks the database for a call to all workers; returns whether it can broadcast.
        warn: Told once in one sentence that calls cannot come, until they have come again.
        check_seconds: Wait between two looks at the connection, and the longest it may be unwell.
        proof_seconds: How long a call that was asked for may take.
    """

    def __init__(
        self,
        project: Project,
        send_wakeup: Callable[[], bool],
        warn: Callable[[str], None],
        *,
        check_seconds: float = _CHECK_SECONDS,
        proof_seconds: float = _PROOF_SECONDS,
    ) -> None:
        self._project = project
        self._send_wakeup = send_wakeup
        self._warn = warn
        self._check_seconds = check_seconds
        self._proof_seconds = proof_seconds
        self._warned = False
        self._line: _Line | None = None

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen until cancelled; a connection that is not trusted any more is replaced by a new one."""
        backoff = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_LONGEST_PAUSE_SECONDS)
        pauses = backoff.pauses()
        while True:
            line = self._line = _Line(woken, connected)
            try:
                async with self._joined(line):
                    reason = await self._supervise(line)
            except Exception as error:  # noqa: BLE001 - whatever the client meets, it is tried again
                reason = f"Realtime cannot be joined ({type(error).__name__})"
            finally:
                connected(False)
            if line.proven_once:
                pauses, self._warned = backoff.pauses(), False
            self._warn_once(reason)
            without = reason == _NO_BROADCAST
            await asyncio.sleep(jittered(_WITHOUT_BROADCAST_SECONDS) if without else next(pauses))

    def report_missed(self) -> None:
        """Have the calls seen to come again."""
        if self._line is not None:
            self._line.distrust()

    @contextlib.asynccontextmanager
    async def _joined(self, line: "_Line") -> AsyncIterator[None]:
        client = AsyncRealtimeClient(
            f"{self._project.url}/realtime/v1", self._project.key, auto_reconnect=True, max_retries=_MOST_RETRIES
        )
        channel = client.channel(CHANNEL, _PRIVATE)
        channel.on_broadcast(EVENT, line.called)
        line.client, line.channel = client, channel
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await channel.subscribe(line.changed_state)
            yield
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await client.close()

    async def _supervise(self, line: "_Line") -> str:
        """Look after one connection until it is not to be trusted any more; return why."""
        began_at = well_at = time.monotonic()
        while time.monotonic() - began_at < _RENEW_SECONDS:
            line.changed.clear()
            if line.stands:
                well_at = time.monotonic()
                if not line.trusted and (reason := await self._prove(line)):
                    return reason
            elif time.monotonic() - well_at > self._check_seconds:
                return "Realtime's channel is closed"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(line.changed.wait(), self._check_seconds)
        return ""

    async def _prove(self, line: "_Line") -> str:
        """Have a call sent and see it come; return what is wrong, if anything."""
        for _ in range(_CALLS):
            try:
                can_broadcast = await in_daemon_thread(self._send_wakeup)
            except QueueError:
                return ""  # the database is away, which is no fault of Realtime's: the next look tries again
            if not can_broadcast:
                return _NO_BROADCAST
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(line.came.wait(), self._proof_seconds)
            if line.trusted or not line.stands:
                return ""
        return "Realtime's channel is joined and no call arrives over it"

    def _warn_once(self, reason: str) -> None:
        if reason and not self._warned:
            self._warned = True
            self._warn(f"{reason}, so enqueues cannot wake this worker: it polls.")


_NO_BROADCAST: Final = "This database has no realtime.send"


class _Line:
    """One connection with its channel. What the client calls runs in its reader, so it only sets signals."""

    def __init__(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        self._woken = woken
        self._connected = connected
        self.client: AsyncRealtimeClient | None = None
        self.channel: AsyncRealtimeChannel | None = None
        self.changed = asyncio.Event()
        self.came = asyncio.Event()
        self.proven_once = False

    @property
    def stands(self) -> bool:
        """Whether the client thinks that it is connected and joined."""
        return bool(self.client and self.client.is_connected and self.channel and self.channel.is_joined)

    @property
    def trusted(self) -> bool:
        """Whether a call has come since the channel was joined or doubted."""
        return self.came.is_set()

    def changed_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:  # noqa: ARG002
        """Joined, or left, or in trouble: either way no call has come since."""
        self.distrust()
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            self._woken()  # something may have become due while nobody listened

    def distrust(self) -> None:
        """Wait for the next call before calls are counted on."""
        self.came.clear()
        self._connected(False)
        self.changed.set()

    def called(self, payload: Any) -> None:  # noqa: ARG002 - a call says nothing but "look"
        """Look for work."""
        self.proven_once = True
        if not self.came.is_set():
            self.came.set()
            self._connected(True)
        self._woken()
