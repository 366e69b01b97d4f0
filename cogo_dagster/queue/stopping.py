"""Whether this process was asked to stop: what tells the death of a child process apart from its own failure.

Ctrl-C, `timeout` and systemd's stop reach the programs that jobs run as well as the worker, and in any order. So a
child that ends within a second before the worker's stop signal, or at any time after it, was interrupted.
"""

import asyncio
import time
from typing import Final

WINDOW_SECONDS: Final = 1.0
_GLANCE_SECONDS: Final = 0.05


class StopSignal:
    """Remembers the first stop signal of a process. Safe to use from signal handlers and from every thread."""

    def __init__(self) -> None:
        self._stopped_at: float | None = None

    def note_stop(self) -> None:
        """Remember that the process was asked to stop, at the first call."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()

    def stopped_at(self) -> float | None:
        """Return when that was, on the clock of `time.monotonic`; None if it was not."""
        return self._stopped_at

    def forget(self) -> None:
        """Begin anew, for a process in which one worker follows another."""
        self._stopped_at = None

    async def explains(self, ended_at: float) -> bool:
        """Whether the stop is why a child process ended; waits until a second after that for the signal.

        Args:
            ended_at: When the child ended, on the clock of `time.monotonic`.
        """
        latest = ended_at + WINDOW_SECONDS
        while self._stopped_at is None and (left_seconds := latest - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_seconds, _GLANCE_SECONDS))
        return self._stopped_at is not None and self._stopped_at <= latest


STOP: Final = StopSignal()
"""Of this process."""

note_stop = STOP.note_stop
stopped_at = STOP.stopped_at
