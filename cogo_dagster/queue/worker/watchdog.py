"""Watches from a separate thread whether the worker's event loop runs and whether it claims."""

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from cogo_dagster.queue.worker.state import WorkerState

_TICK_SECONDS: Final = 0.25
_BLOCKED_SECONDS: Final = 1.0
_LAST_RESORT_SECONDS: Final = 15.0
"""How long a stuck worker may take to end before its process is ended."""
_FRAMES: Final = 12


class Watchdog:
    """Logs the stack of the code that blocks the loop, and ends a stuck worker.

    A worker is stuck when, for `stuck_seconds`, its loop has not run, or no claim succeeded although the database
    responds and there was no reason to wait.

    Args:
        end: Called in the loop; ends the worker.
        last_resort: Called in the watchdog's thread, with the reason, if the loop cannot end the worker.
    """

    def __init__(self, state: WorkerState, end: Callable[[], None], last_resort: Callable[[str], None]) -> None:
        self._state = state
        self._end = end
        self._last_resort = last_resort
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._block_logged = False
        self._stuck_at: float | None = None

    def start(self) -> None:
        """Start the thread."""
        self._tick()
        threading.Thread(target=self._run, name="cogo-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()

    def _tick(self) -> None:
        self._state.loop_alive_at = time.monotonic()
        if not self._stopped.is_set():
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _run(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self._check(time.monotonic())

    def _check(self, now: float) -> None:
        state = self._state
        blocked_seconds = now - state.loop_alive_at
        if blocked_seconds < _BLOCKED_SECONDS:
            self._block_logged = False
        elif not self._block_logged:
            self._block_logged = True
            state.warn(f"The event loop is blocked for {blocked_seconds:.1f} s, at:\n{self._stack()}")
        if self._stuck_at is None:
            state.stuck = why_stuck(
                blocked_seconds=blocked_seconds,
                unclaimed_seconds=now - state.claims_alive_at,
                stuck_seconds=state.options.stuck_seconds,
                database_responds=not state.calls.outage and not state.claims_ended,
            )
            if state.stuck is None:
                return
            self._stuck_at = now
            state.warn(f"{state.stuck} The worker ends; its leases expire.")
            with contextlib.suppress(Exception):  # without the report, the missing heartbeat shows it
                state.queue.report_stuck(state.identity, state.stuck)
            self._loop.call_soon_threadsafe(self._end)
        elif now - self._stuck_at >= _LAST_RESORT_SECONDS:
            self._stopped.set()
            self._last_resort(state.stuck or "")

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented for this use
        return "".join(traceback.format_stack(frame)[-_FRAMES:]) if frame else "(unknown)"


def why_stuck(
    *, blocked_seconds: float, unclaimed_seconds: float, stuck_seconds: float, database_responds: bool
) -> str | None:
    """Return why a worker counts as stuck, or None if it does not.

    Args:
        blocked_seconds: Time since the event loop last ran.
        unclaimed_seconds: Time since the claim loop last claimed, or had a reason not to.
        stuck_seconds: The limit of both.
        database_responds: Whether other calls succeed and the worker is still claiming.
    """
    if blocked_seconds >= stuck_seconds:
        return f"An executor has blocked the event loop for {blocked_seconds:.0f} s."
    if database_responds and unclaimed_seconds >= stuck_seconds:
        return f"No claim succeeded for {unclaimed_seconds:.0f} s, although the database responds to other calls."
    return None
