"""What goes on beside the stages: heartbeats sent, other workers' lost jobs recovered, abandoned files swept."""

import asyncio
import itertools
import os
import platform
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from cogo_dagster.queue.artifacts import ArtifactStoreError, sweep_artifacts, sweep_unknown_objects
from cogo_dagster.queue.backoff import jittered
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.execute import Runner
from cogo_dagster.queue.worker.state import WorkerState
from cogo_dagster.queue.workspace import sweep_workspaces
from cogo_dagster.release import code_version

_SWEEPS_PER_WALK: Final = 30
"""Listing all objects costs much: one sweep in so many does it."""
_RESTART_SECONDS: Final = 5.0


class Upkeep:
    """The background loops of one worker; each runs until cancelled."""

    def __init__(self, state: WorkerState, runner: Runner) -> None:
        self._state = state
        self._runner = runner
        self._sweeps = itertools.count(1)

    async def register(self) -> None:
        """Announce this worker start."""
        state = self._state
        await state.calls.patiently(
            state.queue.register_worker,
            state.identity,
            families=list(state.executors),
            concurrency=state.options.concurrency,
            pid=os.getpid(),
            code_version=code_version(),
            heartbeat_seconds=state.options.heartbeat_seconds,
            device=_device(),
        )

    async def heartbeat(self) -> None:
        """Say that the worker lives, and what it has done so far."""
        while True:
            await asyncio.sleep(self._state.options.heartbeat_seconds)
            await self.beat()

    async def beat(self) -> None:
        """Send one heartbeat; register again if the engine has forgotten us."""
        state = self._state
        known = await state.calls.patiently(
            state.queue.heartbeat, state.identity, self._runner.running, state.metrics.to_json()
        )
        if not known:
            await self.register()
            state.told_idle = False  # the new row does not know it
            state.wake.set()

    async def recover(self) -> None:
        """Take back expired leases of whoever."""
        options = self._state.options
        while True:
            await self._recover_once()
            await asyncio.sleep(jittered(options.recover_seconds, 0.75, 1.25))

    async def sweep(self) -> None:
        """Remove what lost attempts and dead workers left: folders at once, and then all of it now and then."""
        complained = ""
        while True:
            await self._state.calls.once(sweep_workspaces)
            await asyncio.sleep(jittered(self._state.options.sweep_seconds, 0.75, 1.25))
            try:
                await self._state.calls.patiently(sweep_artifacts, self._state.queue, self._state.store)
                if next(self._sweeps) % _SWEEPS_PER_WALK == 0:
                    await self._state.calls.patiently(sweep_unknown_objects, self._state.queue, self._state.store)
            except (ArtifactStoreError, OSError) as error:
                if str(error) != complained:  # once, and not each minute: whose the store is does not change by itself
                    self._state.warn(f"Abandoned artifacts could not be swept: {error}")
                complained = str(error)

    async def _recover_once(self) -> None:
        state = self._state
        recovered = await state.calls.patiently(state.queue.recover)
        if recovered.changed:
            state.metrics.count("recovered", recovered.changed)
            state.wake.set()
            sentence = (
                f"Recovered {recovered.changed} jobs with expired leases: {recovered.requeued} requeued, "
                f"{recovered.failed} failed, {recovered.cancelled} cancelled."
            )
            state.tell(EventKind.RECOVERED, Stage.CLAIM, None, sentence, changed=recovered.changed)


async def kept_up(state: WorkerState, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop beside the stages until cancelled; whatever fails in it is logged, and it begins again."""
    while True:
        began_at = time.monotonic()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - what only accompanies the work must not end it
            state.warn(f"The {name} loop failed and begins again: {str(error) or type(error).__name__}")
        await asyncio.sleep(max(_RESTART_SECONDS - (time.monotonic() - began_at), 0.1))


def _device() -> dict[str, Json]:
    return {
        "hostname": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }
