"""Whether the artifact store is available: while it is not, no job that makes artifacts is claimed."""

import asyncio
from collections.abc import Callable
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.worker.calls import Calls

_CHECK_TIMEOUT_SECONDS: Final = 30.0


class StorageState:
    """Remembers whether the store is away. Used in the worker's loop only.

    Attributes:
        away: Whether the last upload or check failed.
        lost: Set while it is away.
        back: Set while it is not.
    """

    def __init__(self) -> None:
        self.away = False
        self.lost = asyncio.Event()
        self.back = asyncio.Event()
        self.back.set()

    def note_lost(self) -> bool:
        """An upload failed; return whether this is news."""
        news = not self.away
        self.away = True
        self.back.clear()
        self.lost.set()
        return news

    async def watch(
        self,
        calls: Calls,
        store: ArtifactStore,
        *,
        check_seconds: float,
        room: asyncio.Event,
        say: Callable[[str], None],
    ) -> None:
        """Check a store that is away until it is back; until cancelled.

        Args:
            check_seconds: Wait between two checks.
            room: Set when claims may begin again.
            say: Receives a sentence when the store is back.
        """
        while True:
            await self.lost.wait()
            try:
                await asyncio.wait_for(calls.once(store.check), _CHECK_TIMEOUT_SECONDS)
            except Exception:  # noqa: BLE001 - it is away as long as its check fails, however that fails
                await asyncio.sleep(check_seconds)
                continue
            self.away = False
            self.lost.clear()
            self.back.set()
            room.set()
            say("The artifact store is available again: uploads and claims go on.")
