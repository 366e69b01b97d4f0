"""The last stage: settle attempts in batches, with a limit on the retries of each call."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStoreError, storage_key
from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.client import Settled, success_call
from cogo_dagster.queue.errors import AccessDenied, InvalidArgument, QueueError, TransportError
from cogo_dagster.queue.model import Job, JobError, Outcome, Settlement
from cogo_dagster.queue.worker.calls import Denial
from cogo_dagster.queue.worker.events import EventKind, SettledAttempt, Stage
from cogo_dagster.queue.worker.state import HeldJob, WorkerState

_BATCH: Final = 2_000
_TRIES: Final = 3
"""How often one call may fail on new connections, while other calls succeed, before the batch is split."""
_FIRST_PAUSE_SECONDS: Final = 0.3
_MAX_PAUSE_SECONDS: Final = 5.0


class _CallFails(Exception):
    """A call fails repeatedly while other calls succeed."""


class Settler:
    """Settles attempts: those that end while a call is in progress go into the next one."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        # asyncio.Queue would cost five times as much for each job.
        self._waiting: deque[HeldJob] = deque()
        self._arrived = asyncio.Event()
        self._unsettled = 0
        self._all_settled = asyncio.Event()
        self._alone: set[asyncio.Task[None]] = set()

    def enqueue_result(self, held: HeldJob) -> None:
        """Take an ended attempt."""
        self._unsettled += 1
        self._waiting.append(held)
        if len(self._waiting) == 1:
            self._arrived.set()
            self._all_settled.clear()

    async def join(self) -> None:
        """Return when every attempt is settled."""
        while self._unsettled:
            await self._all_settled.wait()

    async def run(self) -> None:
        """Settle until cancelled."""
        try:
            while True:
                await self._arrived.wait()
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
                if not self._waiting:
                    self._arrived.clear()
                if await self._settled(batch):
                    self._count_settled(len(batch))
                else:
                    self._settle_separately(batch)
        finally:
            for task in self._alone:
                task.cancel()

    def _count_settled(self, attempts: int) -> None:
        self._unsettled -= attempts
        if self._unsettled == 0:
            self._all_settled.set()

    async def _settled(self, batch: list[HeldJob]) -> bool:
        """Settle a batch in one call; return False if one of its items may have made the call fail."""
        try:
            results = await self._call([held.settlement for held in batch])
        except (InvalidArgument, _CallFails, TypeError, ValueError, ArithmeticError, RecursionError):
            return False
        self._record([held.settlement for held in batch], results)
        for held in batch:
            self._state.release(held)
        await self._delete_unrecorded(
            held.settlement for held, settled in zip(batch, results, strict=True) if settled.status != "ok"
        )
        return True

    async def _delete_unrecorded(self, rejected: Iterable[Settlement]) -> None:
        """Delete the stored files of attempts that lost their lease; the sweeper deletes what remains."""
        keys = [storage_key(settlement.job, file) for settlement in rejected for file in settlement.stored]
        if keys:
            with contextlib.suppress(ArtifactStoreError, QueueError):
                await self._state.calls.once(self._state.store.delete_all, keys)

    async def _call(self, settlements: list[Settlement]) -> list[Settled]:
        """Settle, retrying during an outage.

        Raises:
            InvalidArgument: The queue rejects one of them; TypeError, ValueError and similar if one cannot be encoded.
            _CallFails: The call failed three times on new connections while other calls succeeded.
            AccessDenied: Access was denied for half a minute.
        """
        failures, denial = 0, Denial()
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS).pauses()
        while True:
            try:
                results = await self._settle_call(settlements)
            except InvalidArgument:
                raise
            except QueueError as error:
                denial.note(error)
                self._state.calls.note_failure(error)
                if isinstance(error, TransportError) and await self._others_succeed():
                    failures += 1
                if failures >= _TRIES:
                    raise _CallFails(str(error)) from error
                await asyncio.sleep(next(pauses))
            else:
                self._state.calls.note_success()
                return results

    def _settle_call(self, settlements: list[Settlement]) -> "asyncio.Future[list[Settled]]":
        """Start a call; successes without results, whose size is limited, are settled without a thread."""
        calls, queue = self._state.calls, self._state.queue
        if all(settlement.is_plain_success and settlement.result is None for settlement in settlements):
            call = success_call(settlements)
            return calls.in_loop(queue.transport, call, lambda: queue.settle(settlements))
        return calls.once(queue.settle, settlements)

    async def _others_succeed(self) -> bool:
        try:
            await self._state.calls.once(self._state.queue.schema_version)
        except QueueError:
            return False
        return True

    def _settle_separately(self, batch: list[HeldJob]) -> None:
        """Settle each item separately, concurrently with the following batches."""
        for held in batch:
            task = asyncio.create_task(self._settle_alone(held), name="settle alone")
            self._alone.add(task)
            task.add_done_callback(self._alone_ended)

    def _alone_ended(self, task: "asyncio.Task[None]") -> None:
        self._alone.discard(task)
        self._count_settled(1)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._state.warn(f"An attempt could not be settled, and its lease expires: {error!r}")

    async def _settle_alone(self, held: HeldJob) -> None:
        """Settle one attempt, without details if necessary; if that fails, the lease expires and the attempt counts."""
        try:
            [result] = await self._call([held.settlement])
        except AccessDenied:
            raise
        except _CallFails:
            held.settlement = _minimal(held.settlement)
        except Exception as error:  # noqa: BLE001 - any other error is caused by this settlement
            held.settlement = self._unstorable(held.settlement, error)
        else:
            await self._end_alone(held, result)
            return
        try:
            [result] = await self._call([held.settlement])
        except AccessDenied:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            job = held.job
            self._state.expiring = True
            self._state.warn(f"{job.type} job {job.id} could not be settled, and its lease expires: {error}", job)
        else:
            await self._end_alone(held, result)
        finally:
            self._state.release(held)

    async def _end_alone(self, held: HeldJob, settled: Settled) -> None:
        self._record([held.settlement], [settled])
        self._state.release(held)
        if settled.status != "ok":
            await self._delete_unrecorded([held.settlement])

    def _unstorable(self, settlement: Settlement, error: Exception) -> Settlement:
        message = str(error)[:2_000] or type(error).__name__
        reason = JobError("unstorable_result", f"The result cannot be stored as JSON: {message}", retryable=False)
        shown = reason.redacted(self._state.options.secrets)
        if settlement.outcome is Outcome.SUCCEEDED:
            return replace(settlement, outcome=Outcome.FAILED, result=None, error=shown)
        return _minimal(settlement)

    def _record(self, settlements: list[Settlement], results: list[Settled]) -> None:
        state = self._state
        attempts: list[SettledAttempt] = []
        for settlement, settled in zip(settlements, results, strict=True):
            if settled.status != "ok":
                self._lost(settlement.job, settled.status)
                continue
            if settled.job_status == "queued":
                state.wake.set()  # before a long wait, the claimer requests when the job is due again
            state.metrics.count(_counter(settlement.outcome, settled.job_status))
            attempts.append((settlement, settled.job_status))
        state.emit_settled(attempts)

    def _lost(self, job: Job, status: str) -> None:
        self._state.metrics.count("lease_lost")
        message = f"{job.type} job {job.id} was not settled: another attempt holds its lease, or the job has ended."
        self._state.emit(EventKind.LEASE_LOST, Stage.UPLOAD, job, message, status=status)


def _minimal(settlement: Settlement) -> Settlement:
    """Return the same outcome without its details, which are the part that the queue may reject."""
    error = settlement.error
    if error is not None:
        error = JobError("details_dropped", "The details could not be stored.", error.retryable)
    result = {"details_dropped": True} if settlement.outcome is Outcome.SUCCEEDED else None
    return replace(settlement, result=result, error=error)


def _counter(outcome: Outcome, job_status: str | None) -> str:
    if outcome is Outcome.FAILED and job_status == "queued":
        return "retried"
    return job_status if job_status in ("failed", "cancelled") else outcome.value
