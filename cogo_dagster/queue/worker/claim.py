"""The first stage: claim as many jobs as there are free slots, and wait while nothing is due."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid4

from cogo_dagster.queue.backoff import Backoff, jittered
from cogo_dagster.queue.client import ClaimCursor, ClaimedJobs, ClaimRequest, claim_call
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.worker.calls import Denial, finish_or_give_up, wait_for_any, wait_for_result
from cogo_dagster.queue.worker.execute import Runner
from cogo_dagster.queue.worker.state import WorkerState

_BUSY_CLAIM_STREAK = 3
_LAST_CLAIM_SECONDS = 2.0
_CLAIM_GAP_SECONDS = 0.01
"""Minimum time between two claims, so that slots freed by very short jobs are filled by one call."""
_GAP_STEP_SECONDS = 0.001
_FEW_SLOTS = 250
"""With 500 slots, claiming again without the gap was slower: 28,000 instead of 35,000 jobs per second."""
_LARGE_CLAIM = 1_000
"""A claim of this many jobs does not wait for more free slots, so the server works while other jobs run."""
_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0
_SINGLE_SECONDS = 60.0
_MAX_WAIT_SECONDS = 30.0
_MAX_CURSOR_SECONDS = 1.0
"""How long jobs that were committed late, with an earlier time than the cursor's, may be passed over."""
_LONG_WAIT_SECONDS = 5.0
"""Before a wait this long, request when the next job becomes due: jobs that become due with time send no wake-up."""


class _Cursor:
    """The position of the claims of one family in its unaddressed jobs; kept for a second."""

    def __init__(self) -> None:
        self._family = ""
        self._position: ClaimCursor | None = None
        self._expires_at = 0.0

    def of(self, requests: Sequence[ClaimRequest]) -> ClaimCursor | None:
        """Return the position at which a claim starts; None for the beginning."""
        if self._position is None or [request.family for request in requests] != [self._family]:
            return None
        if time.monotonic() >= self._expires_at:
            self._position = None
        return self._position

    def move(self, requests: Sequence[ClaimRequest], position: ClaimCursor | None) -> None:
        """Record the position at which a full claim ended."""
        if self._position is None or self._family != requests[0].family:
            self._expires_at = time.monotonic() + _MAX_CURSOR_SECONDS
        self._family, self._position = requests[0].family, position

    def end(self) -> bool:
        """Reset to the beginning; return whether there was a position."""
        had, self._position = self._position is not None, None
        return had


class Claimer:
    """Claims until a stop request, `run_seconds`, `max_jobs`, or `linger_seconds` with nothing due."""

    def __init__(self, state: WorkerState, runner: Runner) -> None:
        self._state = state
        self._runner = runner
        self._claimed = 0
        self._claim_streak = 0
        self._has_claimed = False
        self._nothing_due = False  # the last claim covered every family, with no job held, and found nothing
        self._polled = False  # the last wait ended by its timeout, without a wake-up
        self._single_until = 0.0
        self._denial = Denial()
        self._started_at = time.monotonic()
        self._cursor = _Cursor()
        self._last_claim_at = 0.0
        self._requested_at = 0.0
        self._last_busy_at = self._started_at

    async def run(self) -> str:
        """Claim until there is a reason to end; return the reason (see `WorkerReport.ended_because`)."""
        while not (reason := self._reason_to_end()):
            await self._wait_for_slots()
            self._state.wake.clear()
            self._runner.capacity_available.clear()
            requests, capacity = self._runner.claim_requests(self._remaining_jobs())
            if not requests:
                await self._wait_for_capacity()
                continue
            if time.monotonic() < self._single_until:
                capacity = 1
            idle = not len(self._state.held)
            claimed = await self._claim(requests, capacity)
            if claimed is None:
                continue
            # Nothing is awaited between this and the next full claim, which is sent before these jobs are executed.
            jobs = self._accept(claimed.jobs, requests)
            if len(jobs) < capacity and self._cursor.end():
                continue  # there may be jobs before the cursor
            self._nothing_due = not jobs and idle and len(requests) == len(self._state.executors)
            if jobs and self._polled:
                self._state.report_missed_wakeup()
            self._polled = False
            self._runner.prefetch_enabled = len(jobs) == capacity
            if len(jobs) < capacity:
                await asyncio.sleep(0)  # start these jobs before the next call
                await self._wait_for_work()
        return reason

    async def _wait_for_slots(self) -> None:
        """Wait for more free slots, briefly."""
        while (seconds := self._last_claim_at + _CLAIM_GAP_SECONDS - time.monotonic()) > 0:
            if self._should_claim_at_once():
                break
            await asyncio.sleep(min(seconds, _GAP_STEP_SECONDS))

    def _should_claim_at_once(self) -> bool:
        """Whether waiting for more free slots would only lose time."""
        if self._runner.running == 0:
            return self._runner.max_claimed <= _FEW_SLOTS
        return self._runner.capacity >= _LARGE_CLAIM

    def _reason_to_end(self) -> str | None:
        now = time.monotonic()
        options = self._state.options
        if len(self._state.held):
            self._last_busy_at = now
        if self._state.stopping.is_set():
            return "stopped"
        if self._remaining_jobs() == 0:
            return "max_jobs"
        if self._run_seconds_left() == 0:
            return "run_seconds"
        if self._runner.lost_slots * 2 >= options.concurrency:
            return "slots_lost"
        lingered = options.linger_seconds is not None and now - self._last_busy_at >= options.linger_seconds
        return "drained" if lingered and self._nothing_due else None

    async def _wait_for_capacity(self) -> None:
        limits = [_MAX_WAIT_SECONDS, self._run_seconds_left()]
        self._state.claims_alive_at = time.monotonic() + _MAX_WAIT_SECONDS
        await wait_for_any(
            self._runner.capacity_available,
            self._state.stopping,
            timeout_seconds=min(seconds for seconds in limits if seconds is not None),
        )

    async def _claim(self, requests: Sequence[ClaimRequest], capacity: int) -> ClaimedJobs | None:
        """Claim once, repeating the call until it succeeds; return None if the claim is abandoned.

        The call is started before anything is awaited, so that it precedes the execution of the jobs claimed before.
        A claim that fails three times while other calls succeed is abandoned, and for a minute jobs are
        claimed one at a time, since one of them may cause the failure. Leases that the claim took expire.
        """
        idle, claim_id = self._idle_transition(), uuid4()
        self._requested_at = self._last_claim_at = time.monotonic()
        first = self._claim_once(claim_id, requests, capacity, idle)
        if await wait_for_result(first, self._state.stopping):
            return self._claimed_by(first.result(), requests, capacity)
        again = self._until_claimed(first, claim_id, requests, capacity, idle)
        return await finish_or_give_up(again, self._state.stopping, _LAST_CLAIM_SECONDS)

    async def _until_claimed(
        self,
        attempt: "asyncio.Future[ClaimedJobs]",
        claim_id: UUID,
        requests: Sequence[ClaimRequest],
        capacity: int,
        idle: bool | None,
    ) -> ClaimedJobs | None:
        failures = 0
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS).pauses()
        while True:
            try:
                claimed = await attempt
            except (SchemaOutOfDate, SchemaTooNew):
                raise
            except Exception as error:  # noqa: BLE001 - unknown errors are transient
                failures += await self._failed(error)
            else:
                return self._claimed_by(claimed, requests, capacity)
            if failures >= _TRIES:
                self._single_until = time.monotonic() + _SINGLE_SECONDS
                self._state.reported_idle = False
                return None
            await asyncio.sleep(next(pauses))
            if time.monotonic() - self._requested_at >= self._state.options.lease_seconds:
                claim_id, self._requested_at = uuid4(), time.monotonic()  # leases of the old id are expiring
            self._last_claim_at = time.monotonic()
            attempt = self._claim_once(claim_id, requests, capacity, idle)

    def _claimed_by(self, claimed: ClaimedJobs, requests: Sequence[ClaimRequest], capacity: int) -> ClaimedJobs:
        if len(claimed.jobs) >= capacity:
            self._cursor.move(requests, claimed.cursor)
        return claimed

    def _claim_once(
        self, claim_id: UUID, requests: Sequence[ClaimRequest], capacity: int, idle: bool | None
    ) -> "asyncio.Future[ClaimedJobs]":
        state = self._state
        claim = partial(
            state.queue.claim,
            claim_id,
            requests,
            state.identity,
            lease_seconds=state.options.lease_seconds,
            max_jobs=capacity,
            idle=idle,
            after=self._cursor.of(requests),
        )
        return state.calls.in_loop(state.queue.transport, claim_call(*claim.args, **claim.keywords), claim)

    async def _failed(self, error: Exception) -> int:
        """Report a failed claim; return 1 if only this call fails, 0 if the database does not respond."""
        state = self._state
        self._denial.note(error)
        if isinstance(error, QueueError):
            state.calls.note_failure(error)
        else:
            state.warn(f"A claim failed: {error!r}")
        if isinstance(error, DatabaseUnavailable | AccessDenied) or not await self._database_responds():
            state.claims_alive_at = time.monotonic()
            return 0
        return 1

    async def _database_responds(self) -> bool:
        try:
            await self._state.calls.once(self._state.queue.schema_version)
        except QueueError:
            return False
        return True

    def _accept(self, jobs: list[Job], requests: Sequence[ClaimRequest]) -> list[Job]:
        state = self._state
        state.calls.note_success()
        self._denial.end()
        state.claims_alive_at = time.monotonic()
        self._has_claimed = True
        self._claim_streak = self._claim_streak + 1 if jobs else 0
        self._claimed += len(jobs)
        state.metrics.count("claimed", len(jobs))
        prefetched = {request.family for request in requests if request.prefetch}
        if jobs:
            state.emit_claimed(jobs)
        for job in jobs:
            prefetch = bool(prefetched) and job.family in prefetched
            held = state.held.add(job, self._requested_at + state.options.lease_seconds, prefetched=prefetch)
            self._runner.accept(held)
        return jobs

    def _idle_transition(self) -> bool | None:
        """Return True on becoming idle, False on becoming busy again, None if nothing changed."""
        if self._claim_streak == 0 and self._has_claimed and self._state.wakeable and not self._state.reported_idle:
            self._state.reported_idle = True
            return True
        if self._state.reported_idle and self._claim_streak >= _BUSY_CLAIM_STREAK:
            self._state.reported_idle = False
            return False
        return None

    async def _wait_for_work(self) -> None:
        state = self._state
        if self._claim_streak == 0 and state.wakeable and not state.reported_idle:
            return  # one more claim reports that the worker is idle and returns jobs whose wake-up was missed
        options = state.options
        woken_poll_seconds = options.woken_poll_seconds or options.poll_seconds
        poll_seconds = woken_poll_seconds if state.wakeable else options.poll_seconds
        pause_seconds = jittered(poll_seconds, 0.75, 1.25)
        if state.options.linger_seconds is not None and self._nothing_due:
            lingered = time.monotonic() - self._last_busy_at
            pause_seconds = min(pause_seconds, max(state.options.linger_seconds - lingered, 0))
        due_seconds = await self._due_seconds() if pause_seconds > _LONG_WAIT_SECONDS else None
        limits = [pause_seconds, due_seconds, self._run_seconds_left()]
        wait_seconds = min(x for x in limits if x is not None)
        state.claims_alive_at = time.monotonic() + wait_seconds
        await wait_for_any(state.wake, state.stopping, self._runner.capacity_available, timeout_seconds=wait_seconds)
        woken = state.wake.is_set() or self._runner.capacity_available.is_set()
        self._polled = state.wakeable and state.reported_idle and wait_seconds == pause_seconds and not woken

    async def _due_seconds(self) -> float | None:
        state = self._state
        call = state.calls.with_retry(state.queue.next_due, list(state.executors), state.identity.executor_id)
        return await finish_or_give_up(call, state.stopping, _LAST_CLAIM_SECONDS)

    def _remaining_jobs(self) -> int | None:
        max_jobs = self._state.options.max_jobs
        return None if max_jobs is None else max_jobs - self._claimed

    def _run_seconds_left(self) -> float | None:
        run_seconds = self._state.options.run_seconds
        return None if run_seconds is None else max(self._started_at + run_seconds - time.monotonic(), 0)
