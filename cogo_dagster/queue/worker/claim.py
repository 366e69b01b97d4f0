"""The first stage: claim as many jobs as there are free slots, wait when nothing is due."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID, uuid4

from cogo_dagster.queue.backoff import Backoff, jittered
from cogo_dagster.queue.client import Ask
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.worker.calls import Denial, finish_or_give_up, wait_for_any
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.execute import Runner
from cogo_dagster.queue.worker.state import WorkerState

_BUSY_STREAK = 3
_LAST_CLAIM_SECONDS = 2.0
_CLAIM_GAP_SECONDS = 0.01
"""Least time between two claims: slots that jobs of milliseconds free meanwhile are filled by one call."""
_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_SINGLY_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 30.0
_LONG_REST_SECONDS = 5.0
"""From here on it pays to ask when the next job becomes due: nobody calls when a retry or a scheduled job does."""


class Claimer:
    """Claims until told to stop, out of time, at `max_jobs`, or lingering on an empty queue."""

    def __init__(self, state: WorkerState, runner: Runner) -> None:
        self._state = state
        self._runner = runner
        self._claimed = 0
        self._streak = 0
        self._asked_once = False
        self._nothing_due = False  # every family was asked while no job was held, and none had one
        self._polled = False  # nobody called: the last rest ended because its time was up
        self._singly_until = 0.0
        self._denial = Denial()
        self._started_at = time.monotonic()
        self._last_claim_at = 0.0
        self._last_busy_at = self._started_at

    async def run(self) -> str:
        """Claim until there is a reason to end, and return it (see `WorkerReport.ended_because`)."""
        while not (reason := self._reason_to_end()):
            await asyncio.sleep(max(self._last_claim_at + _CLAIM_GAP_SECONDS - time.monotonic(), 0))
            self._state.wake.clear()
            self._runner.room.clear()
            asks, room = self._runner.asks(self._remaining_jobs())
            if not asks:
                await self._wait_for_room()
                continue
            if time.monotonic() < self._singly_until:
                room = 1
            idle = not len(self._state.held)
            jobs = await finish_or_give_up(self._claim(asks, room), self._state.stopping, _LAST_CLAIM_SECONDS)
            if jobs is None:
                continue
            self._nothing_due = not jobs and idle and len(asks) == len(self._state.executors)
            if jobs and self._polled:
                self._state.doubt()
            self._polled = False
            self._runner.hungry = len(jobs) == room
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
        if self._runner.lost_slots * 2 >= options.concurrency:
            return "slots_lost"
        lingered = options.linger_seconds is not None and now - self._last_busy_at >= options.linger_seconds
        return "drained" if lingered and self._nothing_due else None

    async def _wait_for_room(self) -> None:
        limits = [_LONGEST_WAIT_SECONDS, self._until_time_is_up()]
        self._state.claims_alive_at = time.monotonic() + _LONGEST_WAIT_SECONDS
        await wait_for_any(
            self._runner.room,
            self._state.stopping,
            timeout_seconds=min(seconds for seconds in limits if seconds is not None),
        )

    async def _claim(self, asks: Sequence[Ask], room: int) -> list[Job] | None:
        """Claim once, however often that must be repeated; None when the claim is given up.

        A claim that fails three times while the database answers other calls is given up, and for a while jobs are
        claimed one by one: one of them may be what fails the whole. The leases it may have taken expire.
        """
        idle = self._idle_word()
        claim_id, asked_at = uuid4(), time.monotonic()
        failures = 0
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_LONGEST_PAUSE_SECONDS).pauses()
        while True:
            self._last_claim_at = time.monotonic()
            try:
                jobs = await self._ask(claim_id, asks, room, idle)
            except (SchemaOutOfDate, SchemaTooNew):
                raise
            except Exception as error:  # noqa: BLE001 - unknown errors are transient
                failures += await self._failed(error)
            else:
                return self._accept(jobs, asks, asked_at)
            if failures >= _TRIES:
                self._singly_until = time.monotonic() + _SINGLY_SECONDS
                self._state.told_idle = False
                return None
            await asyncio.sleep(next(pauses))
            if time.monotonic() - asked_at >= self._state.options.lease_seconds:
                claim_id, asked_at = uuid4(), time.monotonic()  # what the old one may have leased is expiring

    def _ask(self, claim_id: UUID, asks: Sequence[Ask], room: int, idle: bool | None) -> "asyncio.Future[list[Job]]":
        return self._state.calls.once(
            self._state.queue.claim,
            claim_id,
            asks,
            self._state.identity,
            lease_seconds=self._state.options.lease_seconds,
            max_jobs=room,
            idle=idle,
        )

    async def _failed(self, error: Exception) -> int:
        """Report a failed claim; return 1 if it is this call that fails, and 0 if the database does not answer."""
        state = self._state
        self._denial.note(error)
        if isinstance(error, QueueError):
            state.calls.note_failure(error)
        else:
            state.warn(f"A claim failed: {error!r}")
        if isinstance(error, DatabaseUnavailable | AccessDenied) or not await self._database_answers():
            state.claims_alive_at = time.monotonic()
            return 0
        return 1

    async def _database_answers(self) -> bool:
        try:
            await self._state.calls.once(self._state.queue.schema_version)
        except QueueError:
            return False
        return True

    def _accept(self, jobs: list[Job], asks: Sequence[Ask], asked_at: float) -> list[Job]:
        state = self._state
        state.calls.note_success()
        self._denial.end()
        state.claims_alive_at = time.monotonic()
        self._asked_once = True
        self._streak = self._streak + 1 if jobs else 0
        self._claimed += len(jobs)
        state.metrics.count("claimed", len(jobs))
        prefetched = {ask.family for ask in asks if ask.prefetch}
        for job in jobs:
            state.tell(EventKind.CLAIMED, Stage.CLAIM, job)
            prefetch = bool(prefetched) and job.family in prefetched
            held = state.held.add(job, asked_at + state.options.lease_seconds, prefetched=prefetch)
            self._runner.accept(held)
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
        pause_seconds = jittered(poll_seconds, 0.75, 1.25)
        if state.options.linger_seconds is not None and self._nothing_due:
            lingered = time.monotonic() - self._last_busy_at
            pause_seconds = min(pause_seconds, max(state.options.linger_seconds - lingered, 0))
        due_seconds = await self._due_seconds() if pause_seconds > _LONG_REST_SECONDS else None
        limits = [pause_seconds, due_seconds, self._until_time_is_up()]
        rest_seconds = min(x for x in limits if x is not None)
        state.claims_alive_at = time.monotonic() + rest_seconds
        await wait_for_any(state.wake, state.stopping, self._runner.room, timeout_seconds=rest_seconds)
        called = state.wake.is_set() or self._runner.room.is_set()
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
