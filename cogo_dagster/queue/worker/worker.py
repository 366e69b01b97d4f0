"""The worker: runs the stages in order, with background tasks, and stops without losing jobs."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor, Interrupted
from cogo_dagster.queue.model import Outcome, Settlement
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.transports.base import LoopTransport
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster.queue.worker.claim import Claimer
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage
from cogo_dagster.queue.worker.execute import Runner
from cogo_dagster.queue.worker.leases import LeaseKeeper
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.settle import Settler
from cogo_dagster.queue.worker.state import Phase, WorkerState
from cogo_dagster.queue.worker.upkeep import Upkeep, run_restarting
from cogo_dagster.queue.worker.upload import Uploader
from cogo_dagster.queue.worker.wakeup import Wakeup
from cogo_dagster.queue.worker.watchdog import Watchdog

_UPLOADERS: Final = 3
_CANCEL_TIMEOUT_SECONDS: Final = 0.5
_PREPARE_SECONDS: Final = 2.0


class WorkerStuck(Exception):
    """The worker was stuck and ended; its jobs are recovered when their leases expire."""


def _ignore_reason(reason: str) -> None:
    """Do nothing if the event loop is blocked."""


@contextlib.contextmanager
def _frozen_objects() -> Iterator[None]:
    """Exempt the modules and executors from garbage collection, unless the caller has done it.

    The collector would traverse them repeatedly: a tenth of the time of a very short job, with Dagster a third.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Worker:
    """Runs once, from `run()` to its end; an instance cannot be run twice.

    Args:
        wakeup: Wakes the worker when a job is enqueued; None for polling only.
        observer: Receives every event.
        last_resort: Called from another thread, with the reason, if the worker is stuck and its event loop is blocked;
            it should end the process.
    """

    def __init__(
        self,
        queue: Queue,
        store: ArtifactStore,
        executors: Sequence[Executor],
        identity: WorkerIdentity,
        options: WorkerOptions,
        *,
        wakeup: Wakeup | None = None,
        observer: Observer | None = None,
        last_resort: Callable[[str], None] | None = None,
    ) -> None:
        by_family = {executor.family: executor for executor in executors}
        calls = Calls(on_outage=lambda message: self._state.warn(f"{message} The call is repeated until it succeeds."))
        self._state = WorkerState(queue, store, by_family, identity, options, observer or Observer(), calls)
        self._wakeup = wakeup
        self._last_resort = last_resort or _ignore_reason
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_requested: float | None = None

    async def run(self) -> WorkerReport:
        """Run until there is a reason to end.

        Raises:
            ExecutorUnavailable: An executor cannot start; nothing was claimed.
            AccessDenied: The database has denied access for half a minute.
            QueueError: The database's schema is not at this release.
            WorkerStuck: No claim succeeded for `stuck_seconds` although the database responds.
        """
        started_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        state = self._state
        if self._stop_requested is not None:
            self._stop(self._stop_requested)
        else:
            STOP.reset()  # the stop of an earlier worker in this process
        settler = Settler(state)
        uploader = Uploader(state, settler, max_waiting=max(2 * state.options.concurrency, 8))
        runner = Runner(state, uploader.enqueue_result)
        upkeep = Upkeep(state, runner)
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(state.calls.close)
            cleanup.push_async_callback(self._stop_executors)
            await self._prepare_calls()
            try:
                for executor in state.executors.values():
                    await executor.start()
            except Interrupted:  # a stop while an executor was installing or starting a browser
                return WorkerReport({}, time.monotonic() - started_at, "stopped")
            cleanup.enter_context(_frozen_objects())
            await upkeep.register()
            reason = await self._work(runner, upkeep, uploader, settler)
            # Not after an error: the attempts of a worker that ends unexpectedly are counted.
            await self._deregister(upkeep)
        return WorkerReport(dict(state.metrics.counters), time.monotonic() - started_at, reason)

    async def _prepare_calls(self) -> None:
        """Open two connections and plan the frequent calls; an outage does not matter yet."""
        state = self._state
        if not isinstance(state.queue.transport, LoopTransport):
            return
        calls = [
            state.calls.once(state.queue.prepare_claim, state.identity, state.options.concurrency),
            state.calls.once(state.queue.prepare_settle),
        ]
        for call in calls:
            call.add_done_callback(_ignore_error)
        await asyncio.wait(calls, timeout=_PREPARE_SECONDS)

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Stop claiming and end within the grace period; a second call, or 0, forces the stop. Thread-safe.

        Args:
            grace_seconds: How long running jobs may continue; None takes the option's value.
        """
        grace = self._state.options.grace_seconds if grace_seconds is None else grace_seconds
        if self._loop is None:
            self._stop_requested = grace
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop, grace)

    def _stop(self, grace_seconds: float) -> None:
        if self._state.stopping.is_set() or grace_seconds <= 0:
            self._state.begin_force_stop()
        else:
            asyncio.get_running_loop().call_later(grace_seconds, self._state.begin_force_stop)
        self._state.stopping.set()

    async def _work(self, runner: Runner, upkeep: Upkeep, uploader: Uploader, settler: Settler) -> str:
        state = self._state
        state.claims_alive_at = time.monotonic()  # the start of the executors does not count
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keeper = LeaseKeeper(state, denied=partial(_fail, failed))
        watchdog = Watchdog(state, end=lambda: _fail(failed, WorkerStuck(state.stuck)), last_resort=self._last_resort)
        # First, so that the first claim does not wait for the calls of the other tasks.
        stages = asyncio.create_task(self._stages(runner, uploader, settler), name="stages")
        background = [asyncio.create_task(run, name="background") for run in self._background_loops(runner, upkeep)]
        background += [
            asyncio.create_task(settler.run(), name="settle"),
            *(asyncio.create_task(uploader.run(), name="upload") for _ in range(_UPLOADERS)),
        ]
        watched: list[asyncio.Future[Any]] = [stages, failed, *background]
        keeper.start()
        watchdog.start()
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if not stages.done():  # a background task ends only by an error, which ends the worker
                stages.cancel()
                for future in watched[1:]:
                    if future.done():
                        future.result()
            return await stages
        finally:
            keeper.stop()
            watchdog.stop()
            failed.cancel()
            for task in background:
                task.cancel()
            await asyncio.wait([stages, *background], timeout=_CANCEL_TIMEOUT_SECONDS)

    def _background_loops(self, runner: Runner, upkeep: Upkeep) -> list[Coroutine[Any, Any, None]]:
        state = self._state
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "heartbeat": upkeep.heartbeat,
            "recovery": upkeep.recover,
            "sweep": upkeep.sweep,
        }
        watch = partial(
            state.storage.watch,
            state.calls,
            state.store,
            check_seconds=state.options.store_check_seconds,
            capacity_available=runner.capacity_available,
            report=state.warn,
        )
        loops |= {"deadline": runner.keep_deadlines, "store": watch}
        if self._wakeup is not None:
            loops["wake-up"] = partial(self._listen, self._wakeup)
        return [run_restarting(state, name, loop) for name, loop in loops.items()]

    async def _stages(self, runner: Runner, uploader: Uploader, settler: Settler) -> str:
        state = self._state
        reason = await Claimer(state, runner).run()
        state.claims_ended = True
        state.emit(EventKind.STAGE_FINISHED, Stage.CLAIM, None, f"Claiming ended: {reason}.", reason=reason)
        await runner.finish()
        state.emit(EventKind.STAGE_FINISHED, Stage.EXECUTE, None, "All executions have ended.")
        await self._within(Phase.UPLOADS, uploader.join)
        await self._within(Phase.SETTLEMENTS, settler.join)
        state.emit(EventKind.STAGE_FINISHED, Stage.UPLOAD, None, "All attempts are settled.")
        return reason

    async def _within(self, phase: Phase, join: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await the end of a stage; during a force stop, no longer than its phase may take."""
        state = self._state
        ended = asyncio.ensure_future(join())
        force_stopped = asyncio.ensure_future(state.force_stop.wait())
        try:
            await asyncio.wait([ended, force_stopped], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.wait([ended], timeout=state.seconds_left(phase))
        finally:
            force_stopped.cancel()
            ended.cancel()

    async def _listen(self, wakeup: Wakeup) -> None:
        state = self._state

        def connected(active: bool) -> None:
            state.wakeable = active

        state.report_missed_wakeup = wakeup.report_missed
        try:
            await wakeup.listen(state.wake.set, connected)
        finally:
            state.wakeable = False

    async def _deregister(self, upkeep: Upkeep) -> None:
        """Requeue held jobs, send the last heartbeat, and deregister; never wait for an unreachable database."""
        state = self._state
        with contextlib.suppress(Exception):  # the leases expire, and the missing heartbeat is noticed
            async with asyncio.timeout(state.seconds_left(Phase.DEREGISTER)):
                state.metrics.count("requeued", await self._requeue_held())
                await upkeep.beat()
                await state.calls.once(state.queue.stop_worker, state.identity)

    async def _requeue_held(self) -> int:
        """Requeue held jobs, including those of a claim whose reply was lost, except those left to expire."""
        state = self._state
        if not state.expiring:
            return await state.calls.once(state.queue.requeue_instance, state.identity)
        held = [Settlement(held_job.job, Outcome.REQUEUED) for held_job in state.held]
        return len(await state.calls.once(state.queue.settle, held)) if held else 0

    async def _stop_executors(self) -> None:
        await asyncio.gather(*(self._stop_executor(executor) for executor in self._state.executors.values()))

    async def _stop_executor(self, executor: Executor) -> None:
        state = self._state
        stop = asyncio.ensure_future(executor.stop())
        await asyncio.wait([stop], timeout=state.seconds_left(Phase.EXECUTOR_STOP))
        if not stop.done():
            stop.cancel()
            state.warn(f"The {executor.family} executor did not stop in time.")
        elif not stop.cancelled() and (error := stop.exception()) is not None:
            state.warn(f"The {executor.family} executor did not stop cleanly: {error}")


def _ignore_error(call: "asyncio.Future[None]") -> None:
    if not call.cancelled():
        call.exception()


def _fail(failed: "asyncio.Future[None]", error: Exception) -> None:
    if not failed.done():
        failed.set_exception(error)
