"""The second stage: run each held job in its executor, within the slots, and say how the attempt ended."""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.client import Ask
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ArtifactFile, Outcome, Settlement
from cogo_dagster.queue.worker.attempt import EndedAttempt, run_attempt
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.held import Abandonment, HeldJob
from cogo_dagster.queue.worker.state import WorkerState

_CLEANUP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that ended, with the files it leaves in its workspace."""

    held: HeldJob
    settlement: Settlement
    artifacts: tuple[ArtifactFile, ...]
    workspace: Workspace


class Executions:
    """Runs jobs, at most `concurrency` at once and at most `slots` of a family.

    Args:
        hand_on: Takes an ended attempt to the next stage; while it waits there, its slot stays taken.

    Attributes:
        room: Set when there may be something to claim for.
        hungry: Whether the last claim came back full: only then are jobs prefetched.
    """

    def __init__(self, state: WorkerState, hand_on: "Callable[[Finished], asyncio.Future[None] | None]") -> None:
        self._state = state
        self._hand_on = hand_on
        self._running: Counter[str] = Counter()
        self._running_total = 0
        self._waiting: deque[HeldJob] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = itertools.count()
        self._starter: asyncio.Task[None] | None = None
        self._slot_freed = asyncio.Event()
        self._most_prefetch = max((executor.prefetch for executor in state.executors.values()), default=0)
        self.room = asyncio.Event()
        self.hungry = False

    @property
    def running(self) -> int:
        """Executions under way."""
        return self._running_total

    def asks(self, remaining_jobs: int | None) -> tuple[list[Ask], int]:
        """Return what to claim now, by family in turn, and how much in all; nothing while no slot is free."""
        free = self._state.options.concurrency - self._running_total - len(self._waiting)
        asks = [ask for family in self._families_in_turn() if (ask := self._ask(family, free)) is not None]
        room = max([free, *(ask.max_jobs for ask in asks)], default=0)
        if remaining_jobs is not None:
            room = min(room, remaining_jobs)
        return (asks, room) if asks and room > 0 else ([], 0)

    def accept(self, held: HeldJob, *, prefetched: bool) -> None:
        """Take a claimed job: run it now, or let it wait its turn if it was prefetched."""
        if not prefetched:
            self._launch(held)
            return
        self._waiting.append(held)
        if self._starter is None or self._starter.done():
            self._starter = asyncio.create_task(self._start_waiting(), name="start waiting")

    async def finish(self) -> None:
        """Return when nothing runs any more; at `hurry`, cancel what runs and requeue what waits."""
        hurried = asyncio.ensure_future(self._state.hurry.wait())
        try:
            while (self._tasks or self._waiting) and not hurried.done():
                starting = {self._starter} if self._starter is not None and self._waiting else set()
                await asyncio.wait([hurried, *self._tasks, *starting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
        if self._tasks or self._waiting:
            await self._abandon_all()

    def _families_in_turn(self) -> list[str]:
        families = list(self._state.executors)
        first = next(self._turn) % len(families)
        return families[first:] + families[:first]

    def _ask(self, family: str, free: int) -> Ask | None:
        executor = self._state.executors[family]
        if executor.prefetch and self.hungry:
            wanted = executor.prefetch - len(self._waiting)
            return Ask(family, wanted, prefetch=True) if wanted >= executor.prefetch // 2 else None
        slots = executor.slots if executor.slots is not None else self._state.options.concurrency
        room = min(free, slots - self._running[family])
        return Ask(family, room) if room > 0 else None

    async def _start_waiting(self) -> None:
        """Launch prefetched jobs in batches, each recorded before it runs."""
        while self._waiting:
            free = self._state.options.concurrency - self._running_total
            if free <= 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            batch = list(itertools.islice(self._waiting, free))
            for held in batch:
                held.started = True
            ids = [held.job.id for held in self._state.held if held.started]
            await self._state.calls.patiently(self._state.queue.start, self._state.identity, ids)
            for held in batch:
                self._waiting.popleft()  # not before: what is between two places would be lost sight of
                self._launch(held)

    def _launch(self, held: HeldJob) -> None:
        if held.abandoned is not None:
            self._state.held.release(held)
            return
        self._running[held.job.family] += 1
        self._running_total += 1
        task = asyncio.create_task(self._execute(held))
        held.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, held: HeldJob) -> None:
        workspace = Workspace()
        try:
            finished = await self._attempt(held, workspace)
            held.task = None  # from here on nothing may cancel it: the outcome is decided
            if finished is None:
                await self._state.calls.once(workspace.remove)
                self._state.held.release(held)
            elif (handed_on := self._hand_on(finished)) is not None:
                await handed_on
        finally:
            self._free_slot(held.job.family)

    def _free_slot(self, family: str) -> None:
        self._running[family] -= 1
        self._running_total -= 1
        self._slot_freed.set()
        if len(self._waiting) <= self._most_prefetch // 2:
            self.room.set()

    async def _attempt(self, held: HeldJob, workspace: Workspace) -> Finished | None:
        """Run one attempt to its end; None when the lease was lost and there is nothing to settle."""
        started_at = time.monotonic()
        ended: EndedAttempt | None = None
        try:
            ended = await run_attempt(
                self._state.executors[held.job.family], held.job, workspace, self._state.options.secrets
            )
        except (Exception, SystemExit, asyncio.CancelledError):
            if held.abandoned is None:
                raise
        if held.abandoned is Abandonment.LEASE_LOST:
            self._lost(held)
            return None
        if held.abandoned is not None and (ended is None or ended.settlement.error is not None):
            run_seconds = round(time.monotonic() - started_at, 6)  # we broke it off: it did not fail
            ended = EndedAttempt(Settlement(held.job, _outcome_of(held.abandoned), run_seconds=run_seconds))
        assert ended is not None  # noqa: S101 - without an end it was abandoned
        self._tell(ended.settlement)
        return Finished(held, ended.settlement, ended.artifacts, workspace)

    def _tell(self, settlement: Settlement) -> None:
        run_seconds = settlement.run_seconds or 0.0
        self._state.metrics.observe_run(run_seconds)
        self._state.tell(
            EventKind.EXECUTED,
            Stage.EXECUTE,
            settlement.job,
            outcome=settlement.outcome.value,
            run_seconds=run_seconds,
            error=settlement.error.to_json() if settlement.error else None,
        )

    def _lost(self, held: HeldJob) -> None:
        self._state.metrics.count("lease_lost")
        sentence = f"The lease on {held.job.type} job {held.job.id} was lost: its execution was stopped."
        self._state.tell(EventKind.LEASE_LOST, Stage.EXECUTE, held.job, sentence)

    async def _abandon_all(self) -> None:
        if self._starter is not None:
            self._starter.cancel()
        while self._waiting:
            held = self._waiting.popleft()
            self._hand_on(Finished(held, Settlement(held.job, Outcome.REQUEUED), (), Workspace()))
        for held in self._state.held:
            if held.task is not None:
                held.abandon(Abandonment.STOPPING)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLEANUP_SECONDS)


def _outcome_of(abandonment: Abandonment) -> Outcome:
    return Outcome.CANCELLED if abandonment is Abandonment.CANCEL_REQUESTED else Outcome.REQUEUED
