"""One worker: its stages in order, its upkeep beside them, and a stop that loses nothing."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.executor import Executor
from cogo_dagster.queue.worker.calls import Calls, finish_or_give_up
from cogo_dagster.queue.worker.claim import Claimer
from cogo_dagster.queue.worker.events import EventKind, Observer, Stage, ignore
from cogo_dagster.queue.worker.execute import Executions
from cogo_dagster.queue.worker.options import WorkerOptions, WorkerReport
from cogo_dagster.queue.worker.settle import Settler, Uploader
from cogo_dagster.queue.worker.state import WorkerState
from cogo_dagster.queue.worker.upkeep import Upkeep
from cogo_dagster.queue.worker.wakeup import Wakeup

_UPLOADERS: Final = 3
_LAST_WORDS_SECONDS: Final = 30.0
_STOP_EXECUTOR_SECONDS: Final = 15.0


class Worker:
    """Works from `run()` to its end. One instance is one worker start; it cannot be run twice.

    Args:
        wakeup: Calls the worker when something is enqueued; None leaves it to polling.
        observer: Told of everything that happens.
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
    ) -> None:
        self._queue = queue
        self._store = store
        self._executors = {executor.family: executor for executor in executors}
        self._identity = identity
        self._options = options
        self._wakeup = wakeup
        self._observer = observer
        self._state: WorkerState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked: float | None = None

    async def run(self) -> WorkerReport:
        """Work until there is a reason to end.

        Raises:
            ExecutorUnavailable: An executor cannot start; nothing was claimed.
            QueueError: The database refuses us in a way that waiting does not mend.
        """
        started_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        state = self._state = WorkerState(
            self._queue,
            self._store,
            self._executors,
            self._identity,
            self._options,
            self._observer,
            calls=Calls(on_outage=lambda sentence: state.warn(f"{sentence} Trying again until it answers.")),
        )
        if self._stop_asked is not None:
            self._stop(self._stop_asked)
        settler = Settler(state)
        uploader = Uploader(state, settler, most_waiting=max(2 * self._options.concurrency, 8))
        executions = Executions(state, uploader.hand_on)
        upkeep = Upkeep(state, executions)
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(state.calls.close)
            for executor in self._executors.values():
                cleanup.push_async_callback(self._stop_executor, executor)
                await executor.start()
            await upkeep.register()
            cleanup.push_async_callback(self._say_goodbye, upkeep)
            reason = await self._work(state, executions, upkeep, uploader, settler)
        return WorkerReport(dict(state.metrics.counters), time.monotonic() - started_at, reason)

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Stop claiming and end within the grace; called again, or with 0, it means now. Thread-safe.

        Args:
            grace_seconds: How long running jobs may go on; None takes the option's.
        """
        grace = self._options.grace_seconds if grace_seconds is None else grace_seconds
        if self._loop is None or self._state is None:
            self._stop_asked = grace
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop, grace)

    def _stop(self, grace_seconds: float) -> None:
        assert self._state is not None  # noqa: S101 - set before the loop can call this
        if self._state.stopping.is_set() or grace_seconds <= 0:
            self._state.hurry.set()
        else:
            asyncio.get_running_loop().call_later(grace_seconds, self._state.hurry.set)
        self._state.stopping.set()

    async def _work(
        self, state: WorkerState, executions: Executions, upkeep: Upkeep, uploader: Uploader, settler: Settler
    ) -> str:
        beside = [
            asyncio.create_task(upkeep.renew(), name="renew"),
            asyncio.create_task(upkeep.heartbeat(), name="heartbeat"),
            asyncio.create_task(upkeep.recover(), name="recover"),
            asyncio.create_task(settler.run(), name="settle"),
            *(asyncio.create_task(uploader.run(), name="upload") for _ in range(_UPLOADERS)),
        ]
        if self._wakeup is not None:
            beside.append(asyncio.create_task(self._listen(self._wakeup), name="listen"))
        stages = asyncio.create_task(self._stages(state, executions, uploader, settler), name="stages")
        try:
            await asyncio.wait([stages, *beside], return_when=asyncio.FIRST_COMPLETED)
            if not stages.done():  # an upkeep loop never ends by itself: it failed, and we with it
                stages.cancel()
                for task in beside:
                    if task.done():
                        task.result()
            return await stages
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _stages(self, state: WorkerState, executions: Executions, uploader: Uploader, settler: Settler) -> str:
        reason = await Claimer(state, executions).run()
        state.tell(EventKind.STAGE_FINISHED, Stage.CLAIM, None, f"Claiming ended: {reason}.", reason=reason)
        await executions.finish()
        state.tell(EventKind.STAGE_FINISHED, Stage.EXECUTE, None, "All executions have ended.")
        await finish_or_give_up(uploader.join(), state.hurry, _LAST_WORDS_SECONDS)
        await finish_or_give_up(settler.join(), state.hurry, _LAST_WORDS_SECONDS)
        state.tell(EventKind.STAGE_FINISHED, Stage.UPLOAD, None, "All attempts are settled.")
        return reason

    async def _listen(self, wakeup: Wakeup) -> None:
        state = self._state
        assert state is not None  # noqa: S101 - set before any task starts

        def connected(stands: bool) -> None:
            state.wakeable = stands

        state.doubt = wakeup.doubt
        await wakeup.listen(state.wake.set, connected)

    async def _say_goodbye(self, upkeep: Upkeep) -> None:
        """Give back what is still ours, send the last counters, end the heartbeat; never wait for a dead database."""
        assert self._state is not None  # noqa: S101
        calls = self._state.calls
        with contextlib.suppress(QueueError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                given_back = await calls.once(self._queue.requeue_instance, self._identity)
                self._state.metrics.count("requeued", given_back)
                await upkeep.beat()
                await calls.once(self._queue.stop_worker, self._identity)

    async def _stop_executor(self, executor: Executor) -> None:
        try:
            async with asyncio.timeout(_STOP_EXECUTOR_SECONDS):
                await executor.stop()
        except Exception as error:  # noqa: BLE001 - one executor's trouble must not keep the others from stopping
            if self._state is not None:
                self._state.warn(f"The {executor.family} executor did not stop cleanly: {error}")
