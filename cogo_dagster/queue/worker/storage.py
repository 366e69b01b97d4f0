"""Tracks whether the artifact store is available: jobs that make artifacts are claimed only while it is."""

import asyncio
from collections.abc import Callable
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.worker.calls import Calls, Signal

_CHECK_TIMEOUT_SECONDS: Final = 30.0


class StorageState:
    """Whether the store is available. Used in the worker's loop only.

    Attributes:
        unavailable: Whether the last upload or check failed.
        failed: Set while the store is unavailable.
        available: Set while the store is available.
    """

    def __init__(self) -> None:
        self.unavailable = False
        self.failed = asyncio.Event()
        self.available = Signal()
        self.available.set()

    def note_failure(self) -> bool:
        """Record a failed upload; return whether the store counted as available before."""
        was_available = not self.unavailable
        self.unavailable = True
        self.available.clear()
        self.failed.set()
        return was_available

    async def watch(
        self,
        calls: Calls,
        store: ArtifactStore,
        *,
        check_seconds: float,
        capacity_available: asyncio.Event,
        report: Callable[[str], None],
    ) -> None:
        """Check an unavailable store until it is available again; runs until cancelled.

        Args:
            check_seconds: Time between two checks.
            capacity_available: Set when the store is available again.
            report: Called with a message when the store is available again.
        """
        while True:
            await self.failed.wait()
            try:
                await asyncio.wait_for(calls.once(store.check), _CHECK_TIMEOUT_SECONDS)
            except Exception:  # noqa: BLE001 - the store counts as unavailable whatever the error is
                await asyncio.sleep(check_seconds)
                continue
            self.unavailable = False
            self.failed.clear()
            self.available.set()
            capacity_available.set()
            report("The artifact store is available again: uploads and claims resume.")
