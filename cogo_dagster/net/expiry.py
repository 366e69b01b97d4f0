"""A deadline that is moved often, with one timer that is rescheduled only when it fires."""

import asyncio
from collections.abc import Callable


class Expiry:
    """Calls a function once after the deadline.

    Args:
        expired: The function.
    """

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """Set the deadline in seconds from now."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self.cancel()
            self._timer = self._loop.call_at(self._deadline, self._check)

    def extend(self, seconds: float) -> None:
        """Move the deadline to a later time; cheaper than `begin`, because the timer is not rescheduled."""
        self._deadline = self._loop.time() + seconds

    def cancel(self) -> None:
        """Remove the deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check)
            return
        self._timer = None
        self._expired()
