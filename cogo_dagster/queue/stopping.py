"""Records whether this process was asked to stop, to distinguish a child's interruption from its own failure.

Ctrl-C, `timeout` and systemd's stop reach the child processes of jobs as well as the worker, in any order. So a
child that ends within a second before the worker's stop signal, or at any time after it, was interrupted.
"""

import asyncio
import time
from typing import Final

WINDOW_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05


class StopSignal:
    """Records the first stop signal of a process. Safe to use from signal handlers and from any thread."""

    def __init__(self) -> None:
        self._stopped_at: float | None = None

    def note_stop(self) -> None:
        """Record the stop signal; later calls are ignored."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()

    def stopped_at(self) -> float | None:
        """Return the time of the signal, as a value of `time.monotonic`; None if there was none."""
        return self._stopped_at

    def reset(self) -> None:
        """Reset, for a process in which one worker follows another."""
        self._stopped_at = None

    async def explains(self, ended_at: float) -> bool:
        """Whether the stop explains the end of a child process; waits for the signal until a second after the end.

        Args:
            ended_at: When the child ended, as a value of `time.monotonic`.
        """
        latest = ended_at + WINDOW_SECONDS
        while self._stopped_at is None and (left_seconds := latest - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_seconds, _POLL_SECONDS))
        return self._stopped_at is not None and self._stopped_at <= latest


STOP: Final = StopSignal()
"""The stop signal of this process."""

note_stop = STOP.note_stop
stopped_at = STOP.stopped_at
