"""One worker: its stages in order, its upkeep beside them, and a stop that loses nothing."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor, Interrupted
from cogo_dagster.queue.model import Outcome, Settlement
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.worker.calls import Calls
from cogo_dagster.queue.worker.claim import Claimer
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, ignore
from cogo_dagster.queue.worker.execute import Runner
from cogo_dagster.queue.worker.leases import LeaseKeeper
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.settle import Settler
from cogo_dagster.queue.worker.state import Phase, WorkerState
from cogo_dagster.queue.worker.upkeep import Upkeep, kept_up
from cogo_dagster.queue.worker.upload import Uploader
from cogo_dagster.queue.worker.wakeup import Wakeup
from cogo_dagster.queue.worker.watchdog import Watchdog

_UPLOADERS: Final = 3
_LEFTOVER_SECONDS: Final = 0.5


class WorkerStuck(Exception):
    """The worker could not go on and ended itself; the jobs it held come back when their leases expire."""


def _ignore_reason(reason: str) -> None:
    """Leave a process whose event loop is blocked as it is."""


class Worker:
    """Works from `run()` to its end. One instance is one worker start; it cannot be run twice.

    Args:
        wakeup: Calls the worker when something is enqueued; None leaves it to polling.
        observer: Told of everything that happens.
        last_resort: Called, from another thread, with the reason when the worker is stuck and cannot end itself since
            its event loop is blocked; it should end the process.
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
        observer: Observer = ignore,
        last_resort: Callable[[str], None] | None = None,
    ) -> None:
        by_family = {executor.family: executor for executor in executors}
        calls = Calls(on_outage=lambda sentence: self._state.warn(f"{sentence} Trying again until it answers."))
        self._state = WorkerState(queue, store, by_family, identity, options, observer, calls)
        self._wakeup = wakeup
        self._last_resort = last_resort or _ignore_reason
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked: float | None = None

    async def run(self) -> WorkerReport:
        """Work until there is a reason to end.

        Raises:
            ExecutorUnavailable: An executor cannot start; nothing was claimed.
            AccessDenied: The database has refused us for half a minute.
            QueueError: The database is not at our release.
            WorkerStuck: Nothing could be claimed for `stuck_seconds` although the database answers.
        """
        started_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        state = self._state
        if self._stop_asked is not None:
            self._stop(self._stop_asked)
        else:
            STOP.forget()  # the stop of a worker that ran in this process before
        settler = Settler(state)
        uploader = Uploader(state, settler, most_waiting=max(2 * state.options.concurrency, 8))
        runner = Runner(state, uploader.hand_on)
        upkeep = Upkeep(state, runner)
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(state.calls.close)
            cleanup.push_async_callback(self._stop_executors)
            try:
                for executor in state.executors.values():
                    await executor.start()
            except Interrupted:  # a stop during an installation, or while a browser began
                return WorkerReport({}, time.monotonic() - started_at, "stopped")
            await upkeep.register()
            reason = await self._work(runner, upkeep, uploader, settler)
            # Not after an error: a worker that ended unexpectedly refunds no attempt, and its silence is noticed.
            await self._sign_off(upkeep)
        return WorkerReport(dict(state.metrics.counters), time.monotonic() - started_at, reason)

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Stop claiming and end within the grace; called again, or with 0, it means now. Thread-safe.

        Args:
            grace_seconds: How long running jobs may go on; None takes the option's.
        """
        grace = self._state.options.grace_seconds if grace_seconds is None else grace_seconds
        if self._loop is None:
            self._stop_asked = grace
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop, grace)

    def _stop(self, grace_seconds: float) -> None:
        if self._state.stopping.is_set() or grace_seconds <= 0:
            self._state.end_now()
        else:
            asyncio.get_running_loop().call_later(grace_seconds, self._state.end_now)
        self._state.stopping.set()

    async def _work(self, runner: Runner, upkeep: Upkeep, uploader: Uploader, settler: Settler) -> str:
        state = self._state
        state.claims_alive_at = time.monotonic()  # however long the executors took to start
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keeper = LeaseKeeper(state, denied=partial(_fail, failed))
        watchdog = Watchdog(state, end=lambda: _fail(failed, WorkerStuck(state.stuck)), last_resort=self._last_resort)
        beside = [asyncio.create_task(run, name="beside") for run in self._beside(runner, upkeep)]
        beside += [
            asyncio.create_task(settler.run(), name="settle"),
            *(asyncio.create_task(uploader.run(), name="upload") for _ in range(_UPLOADERS)),
        ]
        stages = asyncio.create_task(self._stages(runner, uploader, settler), name="stages")
        watched: list[asyncio.Future[Any]] = [stages, failed, *beside]
        keeper.start()
        watchdog.start()
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if not stages.done():  # what goes on beside never ends by itself: it failed, and we with it
                stages.cancel()
                for one in watched[1:]:
                    if one.done():
                        one.result()
            return await stages
        finally:
            keeper.stop()
            watchdog.stop()
            failed.cancel()
            for task in beside:
                task.cancel()
            await asyncio.wait([stages, *beside], timeout=_LEFTOVER_SECONDS)

    def _beside(self, runner: Runner, upkeep: Upkeep) -> list[Coroutine[Any, Any, None]]:
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
            room=runner.room,
            say=state.warn,
        )
        loops |= {"deadline": runner.keep_deadlines, "store": watch}
        if self._wakeup is not None:
            loops["wake-up"] = partial(self._listen, self._wakeup)
        return [kept_up(state, name, loop) for name, loop in loops.items()]

    async def _stages(self, runner: Runner, uploader: Uploader, settler: Settler) -> str:
        state = self._state
        reason = await Claimer(state, runner).run()
        state.claims_ended = True
        state.tell(EventKind.STAGE_FINISHED, Stage.CLAIM, None, f"Claiming ended: {reason}.", reason=reason)
        await runner.finish()
        state.tell(EventKind.STAGE_FINISHED, Stage.EXECUTE, None, "All executions have ended.")
        await self._within(Phase.UPLOADS, uploader.join)
        await self._within(Phase.SETTLEMENTS, settler.join)
        state.tell(EventKind.STAGE_FINISHED, Stage.UPLOAD, None, "All attempts are settled.")
        return reason

    async def _within(self, phase: Phase, join: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await the end of a stage; once the worker hurries, only as long as the phase may take."""
        state = self._state
        ended = asyncio.ensure_future(join())
        hurried = asyncio.ensure_future(state.hurry.wait())
        try:
            await asyncio.wait([ended, hurried], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.wait([ended], timeout=state.seconds_left(phase))
        finally:
            hurried.cancel()
            ended.cancel()

    async def _listen(self, wakeup: Wakeup) -> None:
        state = self._state

        def connected(stands: bool) -> None:
            state.wakeable = stands

        state.doubt = wakeup.doubt
        try:
            await wakeup.listen(state.wake.set, connected)
        finally:
            state.wakeable = False

    async def _sign_off(self, upkeep: Upkeep) -> None:
        """Give back what is still ours, send the last counters, end the heartbeat; never wait for a dead database."""
        state = self._state
        with contextlib.suppress(Exception):  # the leases expire, and the row falls silent
            async with asyncio.timeout(state.seconds_left(Phase.SIGN_OFF)):
                state.metrics.count("requeued", await self._give_back())
                await upkeep.beat()
                await state.calls.once(state.queue.stop_worker, state.identity)

    async def _give_back(self) -> int:
        """Requeue what is still ours, also what a claim leased whose answer was lost, but not what is to expire."""
        state = self._state
        if not state.expiring:
            return await state.calls.once(state.queue.requeue_instance, state.identity)
        held = [Settlement(one.job, Outcome.REQUEUED) for one in state.held]
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


def _fail(failed: "asyncio.Future[None]", error: Exception) -> None:
    if not failed.done():
        failed.set_exception(error)
