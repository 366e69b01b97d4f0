"""Wake-ups over a project's Realtime. Polling remains the fallback: without Realtime only latency is lost.

This is the only asynchronous client of the project. The client reconnects after short interruptions, but does not
detect that its server stopped sending, closed the channel, or is down for long. So a connection counts as working
only once a wake-up has arrived over it, which the worker requests from the database. It is verified again whenever a
poll finds a job that no wake-up announced.
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
_VERIFY_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 15.0
_RENEW_SECONDS: Final = 4 * 3600.0
_WITHOUT_BROADCAST_SECONDS: Final = 3600.0
_FIRST_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 300.0
_VERIFY_ATTEMPTS: Final = 2
"""A server may report the channel as joined before it has begun to read the database's messages."""

_PRIVATE: Final[RealtimeChannelOptions] = {
    "config": {
        "broadcast": {"ack": False, "self": False},
        "presence": {"key": "", "enabled": False},
        "private": True,
    }
}
_MAX_RETRIES: Final = 500
"""The client's default of five lasts some 15 s; above a thousand its pauses overflow."""

# The client logs every failed attempt as an error; RealtimeWakeup reports what matters.
logging.getLogger("realtime").addHandler(logging.NullHandler())
logging.getLogger("realtime").propagate = False


class RealtimeWakeup:
    """Listens on the project's channel and supervises the connection.

    Args:
        project: Address and key of the project.
        send_wakeup: Requests a wake-up of all workers from the database; returns whether the database can broadcast.
        warn: Called once with a message when wake-ups cannot arrive, until they have arrived again.
        check_seconds: Time between two checks of the connection, and the longest it may be down.
        verify_seconds: Timeout of a requested wake-up.
    """

    def __init__(
        self,
        project: Project,
        send_wakeup: Callable[[], bool],
        warn: Callable[[str], None],
        *,
        check_seconds: float = _CHECK_SECONDS,
        verify_seconds: float = _VERIFY_SECONDS,
    ) -> None:
        self._project = project
        self._send_wakeup = send_wakeup
        self._warn = warn
        self._check_seconds = check_seconds
        self._verify_seconds = verify_seconds
        self._warned = False
        self._subscription: _Subscription | None = None

    async def listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen until cancelled; a connection that fails is replaced."""
        backoff = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS)
        pauses = backoff.pauses()
        while True:
            subscription = self._subscription = _Subscription(woken, connected)
            try:
                async with self._joined(subscription):
                    reason = await self._supervise(subscription)
            except Exception as error:  # noqa: BLE001 - any error of the client is retried
                reason = f"Realtime cannot be joined ({type(error).__name__})"
            finally:
                connected(False)
            if subscription.verified_once:
                pauses, self._warned = backoff.pauses(), False
            self._warn_once(reason)
            without = reason == _NO_BROADCAST
            await asyncio.sleep(jittered(_WITHOUT_BROADCAST_SECONDS) if without else next(pauses))

    def report_missed(self) -> None:
        """Verify the connection again."""
        if self._subscription is not None:
            self._subscription.mark_unverified()

    @contextlib.asynccontextmanager
    async def _joined(self, subscription: "_Subscription") -> AsyncIterator[None]:
        client = AsyncRealtimeClient(
            f"{self._project.url}/realtime/v1", self._project.key, auto_reconnect=True, max_retries=_MAX_RETRIES
        )
        channel = client.channel(CHANNEL, _PRIVATE)
        channel.on_broadcast(EVENT, subscription.on_broadcast)
        subscription.client, subscription.channel = client, channel
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await channel.subscribe(subscription.on_state_change)
            yield
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await client.close()

    async def _supervise(self, subscription: "_Subscription") -> str:
        """Check one connection until it fails or is due for renewal; return the reason."""
        started_at = joined_at = time.monotonic()
        while time.monotonic() - started_at < _RENEW_SECONDS:
            subscription.changed.clear()
            if subscription.joined:
                joined_at = time.monotonic()
                if not subscription.verified and (reason := await self._verify(subscription)):
                    return reason
            elif time.monotonic() - joined_at > self._check_seconds:
                return "Realtime's channel is closed"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(subscription.changed.wait(), self._check_seconds)
        return ""

    async def _verify(self, subscription: "_Subscription") -> str:
        """Request a wake-up and wait for it; return what is wrong, or an empty string."""
        for _ in range(_VERIFY_ATTEMPTS):
            try:
                can_broadcast = await in_daemon_thread(self._send_wakeup)
            except QueueError:
                return ""  # the database is unreachable, which does not concern Realtime; the next check tries again
            if not can_broadcast:
                return _NO_BROADCAST
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(subscription.arrived.wait(), self._verify_seconds)
            if subscription.verified or not subscription.joined:
                return ""
        return "Realtime's channel is joined and no wake-up arrives over it"

    def _warn_once(self, reason: str) -> None:
        if reason and not self._warned:
            self._warned = True
            self._warn(f"{reason}, so enqueues cannot wake this worker: it polls.")


_NO_BROADCAST: Final = "This database has no realtime.send"


class _Subscription:
    """One connection with its channel. The client's callbacks run in its reader task, so they only set events."""

    def __init__(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        self._woken = woken
        self._connected = connected
        self.client: AsyncRealtimeClient | None = None
        self.channel: AsyncRealtimeChannel | None = None
        self.changed = asyncio.Event()
        self.arrived = asyncio.Event()
        self.verified_once = False

    @property
    def joined(self) -> bool:
        """Whether the client is connected and joined."""
        return bool(self.client and self.client.is_connected and self.channel and self.channel.is_joined)

    @property
    def verified(self) -> bool:
        """Whether a wake-up has arrived since the channel was joined or marked as unverified."""
        return self.arrived.is_set()

    def on_state_change(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:  # noqa: ARG002
        """Mark the connection as unverified after every change of state."""
        self.mark_unverified()
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            self._woken()  # something may have become due before the channel was joined

    def mark_unverified(self) -> None:
        """Require another wake-up before the connection counts as working."""
        self.arrived.clear()
        self._connected(False)
        self.changed.set()

    def on_broadcast(self, payload: Any) -> None:  # noqa: ARG002 - a wake-up has no content
        """Wake the worker."""
        self.verified_once = True
        if not self.arrived.is_set():
            self.arrived.set()
            self._connected(True)
        self._woken()
