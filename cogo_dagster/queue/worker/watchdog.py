"""Watches from a thread of its own whether the worker's event loop runs and whether it claims."""

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
"""How long a stuck worker may take to end by itself before the process is ended."""
_FRAMES: Final = 12


class Watchdog:
    """Logs the stack of whatever blocks the loop, and ends a worker that is stuck.

    A worker is stuck when its loop has not run, or when nothing was claimed although there was no reason not to, for
    `stuck_seconds`, while the database answers.

    Args:
        end: Called in the loop with the reason; it should end the worker.
        last_resort: Called from the watchdog's thread where the loop cannot end the worker any more.
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
        """Begin to watch."""
        self._tick()
        threading.Thread(target=self._run, name="cogo-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _tick(self) -> None:
        self._state.loop_alive_at = time.monotonic()
        if not self._stopped.is_set():
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _run(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
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
                database_answers=not state.calls.outage and not state.claims_ended,
            )
            if state.stuck is None:
                return
            self._stuck_at = now
            state.warn(f"{state.stuck} The worker ends itself; its leases expire.")
            with contextlib.suppress(Exception):  # the row falls silent all the same
                state.queue.report_stuck(state.identity, state.stuck)
            self._loop.call_soon_threadsafe(self._end)
        elif now - self._stuck_at >= _LAST_RESORT_SECONDS:
            self._stopped.set()
            self._last_resort(state.stuck or "")

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way to another's stack
        return "".join(traceback.format_stack(frame)[-_FRAMES:]) if frame else "(unknown)"


def why_stuck(
    *, blocked_seconds: float, unclaimed_seconds: float, stuck_seconds: float, database_answers: bool
) -> str | None:
    """Return why a worker counts as stuck, in one sentence; None while it does not.

    Args:
        blocked_seconds: Since the event loop last ran.
        unclaimed_seconds: Since the claim loop last claimed, or had a reason not to.
        stuck_seconds: The limit of both.
        database_answers: Whether other calls succeed and the worker is to claim at all.
    """
    if blocked_seconds >= stuck_seconds:
        return f"The event loop has been blocked for {blocked_seconds:.0f} s by an executor."
    if database_answers and unclaimed_seconds >= stuck_seconds:
        return f"Nothing could be claimed for {unclaimed_seconds:.0f} s, although the database answers other calls."
    return None
