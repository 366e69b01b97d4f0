"""The second stage: run each held job in its executor, within the slots, and determine the outcome of the attempt."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Final, cast

from cogo_dagster.queue.client import ClaimRequest
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import JobError, Outcome, Settlement
from cogo_dagster.queue.worker.attempt import run_attempt
from cogo_dagster.queue.worker.calls import Signal
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.slots import Slots
from cogo_dagster.queue.worker.state import Abandonment, HeldJob, Phase, WorkerState

_EXCLUSIVE_AFTER_LOST_ATTEMPTS: Final = 2
"""A job that lost this many attempts in a row runs with no other job: it may be the one that ends the workers."""
_TIMEOUT_MARGIN_SECONDS: Final = 10.0
"""Executors enforce the timeout themselves, with a better message; this limit is for executors that do not."""
_CANCELLATION_SECONDS: Final = 10.0
"""How long a cancelled execution may take to end before it is abandoned."""
_TICK_SECONDS: Final = 0.5
_MAX_BUSY_SECONDS: Final = 0.005
"""How long a task executes jobs that never suspend before it lets the event loop do something else."""
_MAX_READY_SECONDS: Final = 1.0
"""How long claimed jobs wait while no slot becomes free before they are requeued."""


class Runner:
    """Runs jobs, at most `concurrency` at once and at most `slots` of a family.

    Args:
        enqueue_result: Passes an ended attempt to the next stage; while it waits there, its slot stays occupied.

    Attributes:
        capacity_available: Set when a claim may find free slots.
        prefetch_enabled: Whether the last claim returned as many jobs as requested; only then are jobs prefetched.
        lost_slots: Slots of executions that did not end after their cancellation.
    """

    def __init__(self, state: WorkerState, enqueue_result: "Callable[[HeldJob], asyncio.Future[None] | None]") -> None:
        self._state = state
        self._enqueue_result = enqueue_result
        self._slots = Slots(state)
        self._started_at = 0.0
        self._waiting: deque[HeldJob] = deque()
        self._alone: deque[HeldJob] = deque()
        self._running_alone: HeldJob | None = None
        self._ready: deque[HeldJob] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unstarted: asyncio.Task[None] | None = None
        self._starter: asyncio.Task[None] | None = None
        self._slot_freed = asyncio.Event()
        self.capacity_available = Signal()
        self.prefetch_enabled = False
        self.lost_slots = 0

    @property
    def running(self) -> int:
        """The number of occupied slots."""
        return self._slots.occupied

    @property
    def max_claimed(self) -> int:
        """The number of jobs that may be claimed and not ended."""
        return self._slots.limit()

    @property
    def capacity(self) -> int:
        """The number of jobs that may be claimed now, of all families."""
        return self._slots.limit() - self._slots.claimed

    def claim_requests(self, remaining_jobs: int | None) -> tuple[list[ClaimRequest], int]:
        """Return the claim requests by family, in rotating order, and the total limit; empty while no slot is free."""
        if self._alone or self._running_alone is not None:
            return [], 0
        requests, capacity = self._slots.requests(len(self._waiting), prefetch=self.prefetch_enabled)
        if remaining_jobs is not None:
            capacity = min(capacity, remaining_jobs)
        return (requests, capacity) if requests and capacity > 0 else ([], 0)

    def accept(self, held: HeldJob) -> None:
        """Take a claimed job: run it now, or queue it until its start is recorded or it can run alone."""
        if held.job.lost_attempts:
            self._slots.suspend_ahead()
        if held.job.lost_attempts >= _EXCLUSIVE_AFTER_LOST_ATTEMPTS:
            self._alone.append(held)
        elif held.prefetched:
            self._waiting.append(held)
        else:
            self._launch(held)
            return
        if self._starter is None or self._starter.done():
            self._starter = asyncio.create_task(self._start_waiting(), name="start waiting")

    async def finish(self) -> None:
        """Return when no execution is left; at a stop requeue what cannot start, at `force_stop` cancel what runs."""
        if self._state.is_stopping() and self._next_ready() is None:
            self._requeue(self._ready)
        force_stopped = asyncio.ensure_future(self._state.force_stop.wait())
        try:
            while self._tasks_to_await() and not force_stopped.done():
                starting = {self._starter} if self._starter is not None and not self._starter.done() else set()
                await asyncio.wait(
                    [force_stopped, *self._tasks, *starting], timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            force_stopped.cancel()
        if self._tasks_to_await():
            await self._abandon_all()

    async def keep_deadlines(self) -> None:
        """Cancel executions past their deadline or without a lease, abandon those that do not end; until cancelled."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if self._ready and self._next_ready() is None and now - self._started_at >= _MAX_READY_SECONDS:
                self._slots.suspend_ahead()
                self._requeue(self._ready)
            for overdue in self._state.held.overdue():
                overdue.abandon(Abandonment.LEASE_LOST)
            for held in self._state.held:
                if held.task is None or held.given_up:
                    continue
                if held.abandoned is None and now >= held.run_deadline:
                    held.abandon(Abandonment.TIMEOUT)
                elif held.abandoned is not None and now - held.abandoned_at >= _CANCELLATION_SECONDS:
                    self._give_up(held)

    def _tasks_to_await(self) -> bool:
        return len(self._tasks) > self.lost_slots or bool(self._ready or self._waiting or self._alone)

    async def _start_waiting(self) -> None:
        """Launch waiting jobs in batches; the start of prefetched jobs is recorded before they run."""
        while self._waiting or self._alone:
            source, batch = self._next_batch()
            if not batch:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            for held in batch:
                held.started = True
            if any(held.prefetched for held in batch):
                await self._record_starts()
            for held in batch:
                source.popleft()  # not earlier, so that the job is always either waiting or running
                if source is self._alone:
                    self._running_alone = held
                self._launch(held)

    def _next_batch(self) -> tuple[deque[HeldJob], list[HeldJob]]:
        if self._running_alone is not None:
            return self._alone, []
        if self._alone:
            return self._alone, [self._alone[0]] if self._slots.claimed == 0 else []
        free = self._slots.total - self._slots.claimed
        return self._waiting, list(itertools.islice(self._waiting, max(free, 0)))

    async def _record_starts(self) -> None:
        ids = [held.job.id for held in self._state.held if held.started and held.prefetched]
        while True:
            try:
                await self._state.calls.with_retry(self._state.queue.start, self._state.identity, ids)
            except Exception as error:  # noqa: BLE001 - jobs whose start is not recorded would wait forever
                self._state.warn(f"The start of prefetched jobs could not be recorded: {error!r}")
                await asyncio.sleep(1)
            else:
                return

    def _launch(self, held: HeldJob) -> None:
        if held.abandoned is not None:
            self._free_slot(held)
            self._state.release(held)
            return
        self._slots.take(held)
        if not self._ready:
            self._started_at = time.monotonic()
        self._ready.append(held)
        self._start_task()

    def _start_task(self) -> None:
        """Start a task that executes ready jobs, one after another, if there are jobs and a slot for it."""
        if self._unstarted is not None or self._next_ready() is None:
            return
        self._unstarted = task = asyncio.create_task(self._execute_ready())
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    async def _execute_ready(self) -> None:
        """Execute jobs until none is ready.

        While a job is suspended, another task executes the next one. A task executes no further job after a job that
        was cancelled or changed a context variable, so that the next job is not affected.
        """
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._unstarted = None
        context = copy_context()
        yield_at = time.monotonic() + _MAX_BUSY_SECONDS
        while (held := self._next_ready()) is not None:
            self._ready.remove(held)
            self._slots.begin(held)
            self._start_task()
            try:
                if held.abandoned is None:
                    await self._execute(held, task)
                else:
                    self._settle_without_execution(held)
            except Exception as error:  # noqa: BLE001 - must not affect the jobs that follow
                self._state.warn(f"The end of {held.job.type} job {held.job.id} failed: {error!r}", held.job)
                self._state.release(held)
            finally:
                self._slots.end(held)
                self._free_slot(held)
            if task.cancelling() or copy_context() != context:
                return
            if time.monotonic() >= yield_at:
                await asyncio.sleep(0)
                yield_at = time.monotonic() + _MAX_BUSY_SECONDS

    async def _execute(self, held: HeldJob, task: "asyncio.Task[None]") -> None:
        held.task = task
        self._started_at = now = time.monotonic()
        held.run_deadline = now + self._timeout_of(held) + _TIMEOUT_MARGIN_SECONDS
        workspace = Workspace(None, partial(self._ends_soon, held))
        executor, secrets = self._state.executors[held.family], self._state.options.secrets
        settlement = await run_attempt(executor, held.job, workspace, secrets, self._state.calls.once)
        held.task = None  # must not be cancelled any more: the outcome is decided
        if held.given_up:
            self.lost_slots -= 1
            await self._state.calls.once(workspace.remove)
            return
        if held.abandoned is Abandonment.LEASE_LOST:
            self._lost(held)
            await self._state.calls.once(workspace.remove)
            self._state.release(held)
            return
        held.settlement = self._final_settlement(held, settlement)
        held.workspace = workspace
        self._emit_executed(held)
        enqueued = self._enqueue_result(held)
        if enqueued is not None:
            await enqueued

    def _next_ready(self) -> HeldJob | None:
        """Return the first claimed job for which a slot is free."""
        if not self._ready or self._slots.full:
            return None
        if not self._slots.limited:
            return self._ready[0]
        return next(filter(self._slots.may_execute, self._ready), None)

    def _ends_soon(self, held: HeldJob) -> None:
        self._slots.note_ending(held)
        self.capacity_available.set()

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        """Start another task if jobs are left; an executor may have cancelled this one before its first step."""
        self._tasks.discard(task)
        if self._unstarted is task:
            self._unstarted = None
        self._start_task()

    def _free_slot(self, held: HeldJob) -> None:
        self._slots.free(held)
        if self._running_alone is held:
            self._running_alone = None
        self._slot_freed.set()
        if len(self._waiting) <= self._slots.max_prefetch // 2:
            self.capacity_available.set()

    def _final_settlement(self, held: HeldJob, settlement: Settlement) -> Settlement:
        """Return the settlement of an ended execution, depending on why it was cancelled, if it was."""
        if held.abandoned is None:
            if settlement.outcome is not Outcome.REQUEUED or self._state.is_stopping():
                return settlement
            error = JobError("interrupted", "The execution reported an interruption, but the worker is not stopping.")
            return replace(settlement, outcome=Outcome.FAILED, error=error)
        if settlement.outcome is Outcome.SUCCEEDED:
            return settlement
        cancelled = held.cancelled_settlement(self._timeout_of(held))
        cancelled.run_seconds, cancelled.artifacts = settlement.run_seconds, settlement.artifacts
        return cancelled

    def _give_up(self, held: HeldJob) -> None:
        """Settle an execution that does not end; its slot stays lost until it ends."""
        held.given_up = True
        self.lost_slots += 1
        self._state.warn(
            f"The execution of {held.job.type} job {held.job.id} did not end {_CANCELLATION_SECONDS:g} s after its "
            "cancellation. The job is settled without it, and its slot is lost until it ends.",
            held.job,
        )
        self._settle_without_execution(held)
        self.capacity_available.set()

    def _settle_without_execution(self, held: HeldJob) -> None:
        if held.abandoned is Abandonment.LEASE_LOST:
            self._lost(held)
            self._state.release(held)
            return
        held.settlement = held.cancelled_settlement(self._timeout_of(held))
        self._emit_executed(held)
        self._enqueue_result(held)

    def _timeout_of(self, held: HeldJob) -> float:
        return held.job.timeout_seconds or self._state.options.job_timeout_seconds

    def _emit_executed(self, held: HeldJob) -> None:
        settlement = held.settlement
        run_seconds = settlement.run_seconds or 0.0
        self._state.metrics.observe_run(run_seconds)
        self._slots.note(held, run_seconds)
        self._state.emit_executed(settlement)

    def _lost(self, held: HeldJob) -> None:
        self._state.metrics.count("lease_lost")
        message = f"The lease of {held.job.type} job {held.job.id} was lost: its execution was cancelled."
        self._state.emit(EventKind.LEASE_LOST, Stage.EXECUTE, held.job, message)

    def _requeue(self, jobs: deque[HeldJob]) -> None:
        """Return jobs that were not started to the queue."""
        while jobs:
            held = jobs.popleft()
            held.settlement = Settlement(held.job, Outcome.REQUEUED)
            self._enqueue_result(held)
            self._free_slot(held)

    async def _abandon_all(self) -> None:
        """Requeue waiting jobs, cancel running ones, and abandon those that do not end in time."""
        if self._starter is not None:
            self._starter.cancel()
        self._requeue(self._waiting)
        self._requeue(self._alone)
        self._requeue(self._ready)
        for held in self._state.held:
            if held.task is not None:
                held.abandon(Abandonment.STOPPING)
        while self._tasks_to_await() and (left_seconds := self._state.seconds_left(Phase.EXECUTIONS)):
            await asyncio.wait(
                self._tasks, timeout=min(left_seconds, _TICK_SECONDS), return_when=asyncio.FIRST_COMPLETED
            )
        for held in self._state.held:
            if held.task is not None and not held.given_up:
                self._give_up(held)
