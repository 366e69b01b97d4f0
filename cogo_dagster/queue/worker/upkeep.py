"""What goes on beside the stages: leases renewed, heartbeats sent, other workers' lost jobs recovered."""

import asyncio
import itertools
import os
import platform
import random
import time
from importlib.metadata import version

from cogo_dagster.queue.artifacts import ArtifactStoreError, sweep_artifacts, sweep_unknown_objects
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.execute import Executions
from cogo_dagster.queue.worker.held import Abandonment, HeldJob
from cogo_dagster.queue.worker.state import WorkerState

_SWEEPS_PER_WALK = 30
"""Walking all objects is dear: one sweep in so many does it."""


class Upkeep:
    """The background loops of one worker; each runs until cancelled."""

    def __init__(self, state: WorkerState, executions: Executions) -> None:
        self._state = state
        self._executions = executions
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
            code_version=version("cogo-dagster"),
            heartbeat_seconds=state.options.heartbeat_seconds,
            device=_device(),
        )

    async def renew(self) -> None:
        """Extend all leases every third of their length; give up jobs whose lease is lost or may be."""
        third = self._state.options.lease_seconds / 3
        pause_seconds = third
        while True:
            await asyncio.sleep(pause_seconds)
            renewed = await self._renew_once(timeout_seconds=third)
            pause_seconds = third if renewed else min(third, 1.0)

    async def _renew_once(self, timeout_seconds: float) -> bool:
        state = self._state
        held = list(state.held)
        if not held:
            return True
        asked_at = time.monotonic()
        try:
            call = state.calls.once(state.queue.renew, [h.job for h in held], state.options.lease_seconds)
            statuses = await asyncio.wait_for(call, timeout_seconds)
        except (QueueError, TimeoutError) as error:
            state.warn(f"The leases could not be renewed: {error or 'no answer'}")
            for overdue in state.held.overdue():
                overdue.abandon(Abandonment.LEASE_LOST)
            return False
        for one, status in zip(held, statuses, strict=True):
            self._apply(one, status, asked_at + state.options.lease_seconds)
        return True

    def _apply(self, held: HeldJob, status: str, deadline: float) -> None:
        if status in ("ok", "cancel_requested"):
            held.lease_deadline = deadline
        if status == "cancel_requested":
            held.abandon(Abandonment.CANCEL_REQUESTED)
        elif status != "ok":
            held.abandon(Abandonment.LEASE_LOST)

    async def heartbeat(self) -> None:
        """Say that the worker lives, and what it has done so far."""
        while True:
            await asyncio.sleep(self._state.options.heartbeat_seconds)
            await self.beat()

    async def beat(self) -> None:
        """Send one heartbeat; register again if the engine has forgotten us."""
        state = self._state
        known = await state.calls.patiently(
            state.queue.heartbeat, state.identity, self._executions.running, state.metrics.to_json()
        )
        if not known:
            await self.register()
            state.told_idle = False  # the new row does not know it
            state.wake.set()

    async def recover(self) -> None:
        """Take back expired leases of whoever, and now and then sweep what lost attempts left."""
        options = self._state.options
        last_swept_at = time.monotonic()
        while True:
            await self._recover_once()
            await asyncio.sleep(options.recover_seconds * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
            if time.monotonic() - last_swept_at >= options.sweep_seconds:
                last_swept_at = time.monotonic()
                await self._sweep_once()

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

    async def _sweep_once(self) -> None:
        try:
            await self._state.calls.patiently(sweep_artifacts, self._state.queue, self._state.store)
            if next(self._sweeps) % _SWEEPS_PER_WALK == 0:
                await self._state.calls.patiently(sweep_unknown_objects, self._state.queue, self._state.store)
        except (ArtifactStoreError, OSError) as error:
            self._state.warn(f"Abandoned artifacts could not be swept: {error}")


def _device() -> dict[str, Json]:
    return {
        "hostname": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }
