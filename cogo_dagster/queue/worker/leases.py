"""Renews leases on a separate thread, so that no lease expires while an executor blocks the event loop."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from cogo_dagster.queue.errors import AccessDenied
from cogo_dagster.queue.worker.calls import Denial
from cogo_dagster.queue.worker.state import Abandonment, HeldJob, WorkerState

_OVERRUN_SECONDS: Final = 60.0
"""An execution that still runs this long after its deadline blocks the event loop; its lease may expire."""
_RETRY_SECONDS: Final = 1.0


class LeaseKeeper:
    """Extends all leases every third of their length.

    Args:
        denied: Called in the loop with an AccessDenied that persists.
    """

    def __init__(self, state: WorkerState, denied: Callable[[Exception], None]) -> None:
        self._state = state
        self._denied = denied
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._denial = Denial()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="cogo-renew", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread; a call in progress is not awaited."""
        self._stopped.set()

    def _run(self) -> None:
        third = self._state.options.lease_seconds / 3
        pause_seconds = third
        while not self._stopped.wait(pause_seconds):
            renewed = self._renew_once()
            pause_seconds = third if renewed else min(third, _RETRY_SECONDS)

    def _renew_once(self) -> bool:
        state = self._state
        held = [held_job for held_job in state.held if time.monotonic() < held_job.run_deadline + _OVERRUN_SECONDS]
        if not held:
            return True
        requested_at = time.monotonic()
        try:
            statuses = state.queue.renew([held_job.job for held_job in held], state.options.lease_seconds)
        except Exception as error:  # noqa: BLE001 - renewal continues after any error
            self._in_loop(partial(self._failed, error))
            return False
        deadline = requested_at + state.options.lease_seconds
        for held_job, status in zip(held, statuses, strict=True):
            if status in ("ok", "cancel_requested"):
                held_job.lease_deadline = deadline
        self._in_loop(partial(self._apply, held, statuses))
        return True

    def _in_loop(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback)

    def _apply(self, held: list[HeldJob], statuses: list[str]) -> None:
        self._state.calls.note_success()
        self._denial.end()
        for held_job, status in zip(held, statuses, strict=True):
            if status == "cancel_requested":
                held_job.abandon(Abandonment.CANCEL_REQUESTED)
            elif status != "ok":
                held_job.abandon(Abandonment.LEASE_LOST)

    def _failed(self, error: Exception) -> None:
        self._state.warn(f"The leases could not be renewed: {str(error) or type(error).__name__}")
        self._state.calls.note_failure(error)
        try:
            self._denial.note(error)
        except AccessDenied as denied:
            self._denied(denied)
