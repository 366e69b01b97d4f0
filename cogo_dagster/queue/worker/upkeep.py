"""Background tasks of a worker: heartbeats, recovery of expired leases, sweeps of abandoned files, numbers."""

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

_SWEEPS_PER_LISTING: Final = 30
"""Listing all objects is expensive: one in this many sweeps does it."""
_RESTART_SECONDS: Final = 5.0


class Upkeep:
    """The background loops of one worker; each runs until cancelled."""

    def __init__(self, state: WorkerState, runner: Runner) -> None:
        self._state = state
        self._runner = runner
        self._sweeps = itertools.count(1)

    async def register(self) -> None:
        """Register this worker."""
        state = self._state
        await state.calls.with_retry(
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
        """Send a heartbeat with the worker's counters at intervals."""
        while True:
            await asyncio.sleep(self._state.options.heartbeat_seconds)
            await self.beat()

    async def beat(self) -> None:
        """Send one heartbeat; register again if the database has no row of the worker."""
        state = self._state
        known = await state.calls.with_retry(
            state.queue.heartbeat, state.identity, self._runner.running, state.metrics.to_json()
        )
        if not known:
            await self.register()
            state.reported_idle = False  # the new row does not contain it
            state.wake.set()

    async def recover(self) -> None:
        """Recover expired leases of any worker at intervals."""
        options = self._state.options
        while True:
            await self._recover_once()
            await asyncio.sleep(jittered(options.recover_seconds, 0.75, 1.25))

    async def sweep(self) -> None:
        """Delete what lost attempts and dead workers left, and store the numbers of finished jobs, at intervals."""
        last_error = ""
        grace_seconds = self._state.options.unknown_object_seconds
        while True:
            await self._state.calls.once(sweep_workspaces)
            await asyncio.sleep(jittered(self._state.options.sweep_seconds, 0.75, 1.25))
            await self._state.calls.with_retry(self._state.queue.roll_up)
            try:
                await self._state.calls.with_retry(sweep_artifacts, self._state.queue, self._state.store)
                if next(self._sweeps) % _SWEEPS_PER_LISTING == 0:
                    await self._state.calls.with_retry(
                        sweep_unknown_objects, self._state.queue, self._state.store, grace_seconds
                    )
            except (ArtifactStoreError, OSError) as error:
                if str(error) != last_error:  # reported once: the owner of a store does not change by itself
                    self._state.warn(f"Abandoned artifacts could not be swept: {error}")
                last_error = str(error)

    async def _recover_once(self) -> None:
        state = self._state
        recovered = await state.calls.with_retry(state.queue.recover)
        if recovered.changed:
            state.metrics.count("recovered", recovered.changed)
            state.wake.set()
            message = (
                f"Recovered expired leases of jobs: {recovered.requeued} requeued, "
                f"{recovered.failed} failed, {recovered.cancelled} cancelled."
            )
            state.emit(EventKind.RECOVERED, Stage.CLAIM, None, message, changed=recovered.changed)


async def run_restarting(state: WorkerState, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a background loop until cancelled; an error is logged and the loop restarted."""
    while True:
        began_at = time.monotonic()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a background loop must not end the worker
            state.warn(f"The {name} loop failed and is restarted: {str(error) or type(error).__name__}")
        await asyncio.sleep(max(_RESTART_SECONDS - (time.monotonic() - began_at), 0.1))


def _device() -> dict[str, Json]:
    return {
        "hostname": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }
