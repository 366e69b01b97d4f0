"""A deadline that moves often, with one timer that runs until the deadline it last saw."""

import asyncio
from collections.abc import Callable


class Expiry:
    """Calls back once, when the deadline has passed.

    Args:
        expired: What to call.
    """

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """Set the deadline to so many seconds from now."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self.cancel()
            self._timer = self._loop.call_at(self._deadline, self._check)

    def extend(self, seconds: float) -> None:
        """Move the deadline away; cheaper than `begin`, since the timer finds out by itself."""
        self._deadline = self._loop.time() + seconds

    def cancel(self) -> None:
        """Forget the deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check)
            return
        self._timer = None
        self._expired()
