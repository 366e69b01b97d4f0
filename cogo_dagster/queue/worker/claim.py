"""The first stage: claim as many jobs as there are free slots, wait when nothing is due."""

import asyncio
import random
import time
from collections.abc import Sequence
from uuid import uuid4

from cogo_dagster.queue.client import Ask
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.worker.calls import finish_or_give_up, wait_for_any
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.execute import Executions
from cogo_dagster.queue.worker.state import WorkerState

_BUSY_STREAK = 3
_LAST_CLAIM_SECONDS = 2.0
_CLAIM_GAP_SECONDS = 0.01
"""Least time between two claims: slots that jobs of milliseconds free meanwhile are filled by one call."""
_LONG_REST_SECONDS = 5.0
"""From here on it pays to ask when the next job becomes due: nobody calls when a retry or a scheduled job does."""


class Claimer:
    """Claims until told to stop, out of time, at `max_jobs`, or lingering on an empty queue."""

    def __init__(self, state: WorkerState, executions: Executions) -> None:
        self._state = state
        self._executions = executions
        self._claimed = 0
        self._streak = 0
        self._asked_once = False
        self._polled = False  # nobody called: the last rest ended because its time was up
        self._started_at = time.monotonic()
        self._last_claim_at = 0.0
        self._last_busy_at = self._started_at

    async def run(self) -> str:
        """Claim until there is a reason to end, and return it (see `WorkerReport.ended_because`)."""
        while not (reason := self._reason_to_end()):
            await asyncio.sleep(max(self._last_claim_at + _CLAIM_GAP_SECONDS - time.monotonic(), 0))
            self._state.wake.clear()
            self._executions.room.clear()
            asks, room = self._executions.asks(self._remaining_jobs())
            if not asks:
                await wait_for_any(
                    self._executions.room, self._state.stopping, timeout_seconds=self._until_time_is_up()
                )
                continue
            jobs = await self._claim(asks, room)
            if jobs and self._polled:
                self._state.doubt()
            self._polled = False
            self._executions.hungry = len(jobs) == room
            if len(jobs) < room:
                await self._rest()
        return reason

    def _reason_to_end(self) -> str | None:
        now = time.monotonic()
        options = self._state.options
        if len(self._state.held):
            self._last_busy_at = now
        if self._state.stopping.is_set():
            return "stopped"
        if self._remaining_jobs() == 0:
            return "max_jobs"
        if self._until_time_is_up() == 0:
            return "run_seconds"
        lingered = options.linger_seconds is not None and now - self._last_busy_at >= options.linger_seconds
        return "drained" if lingered and self._streak == 0 and self._asked_once else None

    async def _claim(self, asks: Sequence[Ask], room: int) -> list[Job]:
        state = self._state
        asked_at = self._last_claim_at = time.monotonic()
        call = state.calls.patiently(
            state.queue.claim,
            uuid4(),
            asks,
            state.identity,
            lease_seconds=state.options.lease_seconds,
            max_jobs=room,
            idle=self._idle_word(),
        )
        jobs = await finish_or_give_up(call, state.stopping, _LAST_CLAIM_SECONDS) or []
        self._asked_once = True
        self._streak = self._streak + 1 if jobs else 0
        self._claimed += len(jobs)
        state.metrics.count("claimed", len(jobs))
        prefetched = {ask.family for ask in asks if ask.prefetch}
        for job in jobs:
            state.tell(EventKind.CLAIMED, Stage.CLAIM, job)
            held = state.held.add(job, asked_at + state.options.lease_seconds)
            self._executions.accept(held, prefetched=job.family in prefetched)
        return jobs

    def _idle_word(self) -> bool | None:
        """Say when we became idle, and when we have been busy for a while; otherwise write nothing."""
        if self._streak == 0 and self._asked_once and self._state.wakeable and not self._state.told_idle:
            self._state.told_idle = True
            return True
        if self._state.told_idle and self._streak >= _BUSY_STREAK:
            self._state.told_idle = False
            return False
        return None

    async def _rest(self) -> None:
        state = self._state
        if self._streak == 0 and state.wakeable and not state.told_idle:
            return  # one more claim says that we are idle, and closes the gap in which a wake-up could be missed
        options = state.options
        woken_poll_seconds = options.woken_poll_seconds or options.poll_seconds
        poll_seconds = woken_poll_seconds if state.wakeable else options.poll_seconds
        pause_seconds = poll_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        if state.options.linger_seconds is not None and not len(state.held):
            lingered = time.monotonic() - self._last_busy_at
            pause_seconds = min(pause_seconds, max(state.options.linger_seconds - lingered, 0))
        due_seconds = await self._due_seconds() if pause_seconds > _LONG_REST_SECONDS else None
        limits = [pause_seconds, due_seconds, self._until_time_is_up()]
        rest_seconds = min(x for x in limits if x is not None)
        await wait_for_any(state.wake, state.stopping, self._executions.room, timeout_seconds=rest_seconds)
        called = state.wake.is_set() or self._executions.room.is_set()
        self._polled = state.wakeable and state.told_idle and rest_seconds == pause_seconds and not called

    async def _due_seconds(self) -> float | None:
        state = self._state
        call = state.calls.patiently(state.queue.next_due, list(state.executors), state.identity.executor_id)
        return await finish_or_give_up(call, state.stopping, _LAST_CLAIM_SECONDS)

    def _remaining_jobs(self) -> int | None:
        max_jobs = self._state.options.max_jobs
        return None if max_jobs is None else max_jobs - self._claimed

    def _until_time_is_up(self) -> float | None:
        run_seconds = self._state.options.run_seconds
        return None if run_seconds is None else max(self._started_at + run_seconds - time.monotonic(), 0)
