"""The last stage: tell the engine how attempts ended, in batches, with a bound on the tries of each."""

import asyncio
from dataclasses import replace
from typing import Final

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.client import Settled
from cogo_dagster.queue.errors import AccessDenied, InvalidArgument, QueueError, TransportError
from cogo_dagster.queue.model import JobError, Outcome, Settlement
from cogo_dagster.queue.worker.calls import Denial
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.state import HeldJob, WorkerState

_BATCH: Final = 500
_TRIES: Final = 3
"""Failures of one call on new connections, while other calls succeed, before less is asked of it."""
_FIRST_PAUSE_SECONDS: Final = 0.3
_LONGEST_PAUSE_SECONDS: Final = 5.0


class _CallFails(Exception):
    """One call fails again and again while others succeed."""


class Settler:
    """Settles attempts: whatever has ended while the call before was under way goes into the next one."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._waiting: asyncio.Queue[HeldJob] = asyncio.Queue()
        self._alone: set[asyncio.Task[None]] = set()

    def hand_on(self, held: HeldJob) -> None:
        """Take an ended attempt."""
        self._waiting.put_nowait(held)

    async def join(self) -> None:
        """Return when every attempt taken is settled."""
        await self._waiting.join()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                batch = [await self._waiting.get()]
                while len(batch) < _BATCH and not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                if await self._settled(batch):
                    for _ in batch:
                        self._waiting.task_done()
                else:
                    self._settle_apart(batch)
        finally:
            for task in self._alone:
                task.cancel()

    async def _settled(self, batch: list[HeldJob]) -> bool:
        """Settle a batch in one call; False when one of its items may be what fails it."""
        try:
            answers = await self._call([held.settlement for held in batch])
        except (InvalidArgument, _CallFails, TypeError, ValueError, ArithmeticError, RecursionError):
            return False
        for held, settled in zip(batch, answers, strict=True):
            self._record(held.settlement, settled)
            self._state.release(held)
        return True

    async def _call(self, settlements: list[Settlement]) -> list[Settled]:
        """Settle, waiting out an outage.

        Raises:
            InvalidArgument: The engine does not take one of them; also TypeError, ValueError and their like.
            _CallFails: It failed three times on new connections while other calls succeeded.
            AccessDenied: For half a minute.
        """
        failures, denial = 0, Denial()
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_LONGEST_PAUSE_SECONDS).pauses()
        while True:
            try:
                answers = await self._state.calls.once(self._state.queue.settle, settlements)
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
                return answers

    async def _others_succeed(self) -> bool:
        try:
            await self._state.calls.once(self._state.queue.schema_version)
        except QueueError:
            return False
        return True

    def _settle_apart(self, batch: list[HeldJob]) -> None:
        """Settle each on its own, beside the batches that follow."""
        for held in batch:
            task = asyncio.create_task(self._settle_alone(held), name="settle alone")
            self._alone.add(task)
            task.add_done_callback(self._alone_ended)

    def _alone_ended(self, task: "asyncio.Task[None]") -> None:
        self._alone.discard(task)
        self._waiting.task_done()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._state.warn(f"A settlement failed, and its lease will expire: {error!r}")

    async def _settle_alone(self, held: HeldJob) -> None:
        """Settle one attempt: as it is, else with less; if nothing is taken, its lease ends and the attempt counts."""
        try:
            [answer] = await self._call([held.settlement])
        except AccessDenied:
            raise
        except _CallFails:
            held.settlement = _minimal(held.settlement)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being encoded or taken is its own
            held.settlement = self._unstorable(held.settlement, error)
        else:
            self._record(held.settlement, answer)
            self._state.release(held)
            return
        try:
            [answer] = await self._call([held.settlement])
        except AccessDenied:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            job = held.job
            self._state.expiring = True
            self._state.warn(f"No outcome of {job.type} job {job.id} can be settled, its lease expires: {error}", job)
        else:
            self._record(held.settlement, answer)
        finally:
            self._state.release(held)

    def _unstorable(self, settlement: Settlement, error: Exception) -> Settlement:
        sentence = str(error)[:2_000] or type(error).__name__
        reason = JobError("unstorable_result", f"The result cannot be stored as JSON: {sentence}", retryable=False)
        shown = reason.redacted(self._state.options.secrets)
        if settlement.outcome is Outcome.SUCCEEDED:
            return replace(settlement, outcome=Outcome.FAILED, result=None, error=shown)
        return _minimal(settlement)

    def _record(self, settlement: Settlement, settled: Settled) -> None:
        job = settlement.job
        if settled.status != "ok":
            self._state.metrics.count("lease_lost")
            sentence = f"The engine refused to settle {job.type} job {job.id}: another attempt owns it, or it ended."
            self._state.tell(EventKind.LEASE_LOST, Stage.UPLOAD, job, sentence, status=settled.status)
            return
        if settled.job_status == "queued":
            self._state.wake.set()  # before a long rest the claimer asks when it is due again
        self._state.metrics.count(_counter(settlement.outcome, settled.job_status))
        self._state.tell(
            EventKind.SETTLED,
            Stage.UPLOAD,
            job,
            outcome=settlement.outcome.value,
            job_status=settled.job_status,
            run_seconds=settlement.run_seconds,
            error=settlement.error.to_json() if settlement.error else None,
        )


def _minimal(settlement: Settlement) -> Settlement:
    """Return the same outcome without its details: what the engine cannot be made to take is among them."""
    error = settlement.error
    if error is not None:
        error = JobError("details_dropped", "The details could not be stored.", error.retryable)
    result = {"details_dropped": True} if settlement.outcome is Outcome.SUCCEEDED else None
    return replace(settlement, result=result, error=error)


def _counter(outcome: Outcome, job_status: str | None) -> str:
    if outcome is Outcome.FAILED and job_status == "queued":
        return "retried"
    return job_status if job_status in ("failed", "cancelled") else outcome.value
