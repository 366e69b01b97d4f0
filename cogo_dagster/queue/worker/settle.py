"""The last two stages: upload what an attempt leaves, then tell the engine how it ended, in batches."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStoreError, upload_artifacts
from cogo_dagster.queue.client import Settled
from cogo_dagster.queue.errors import LeaseLost, QueueError
from cogo_dagster.queue.model import JobError, Outcome, Settlement
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.execute import Finished
from cogo_dagster.queue.worker.held import HeldJob
from cogo_dagster.queue.worker.state import WorkerState

_BATCH: Final = 500


class Uploader:
    """Takes ended attempts, uploads their artifacts, hands them on to the settler.

    Attempts without files go straight to the settler. Of those with files only so many may wait; while one waits to
    be taken, its slot stays taken, so that a slow store slows the claims.
    """

    def __init__(self, state: WorkerState, settler: "Settler", most_waiting: int) -> None:
        self._state = state
        self._settler = settler
        self._waiting: asyncio.Queue[Finished] = asyncio.Queue(most_waiting)

    def hand_on(self, finished: Finished) -> "asyncio.Future[None] | None":
        """Take an ended attempt; a future means that there is no place yet."""
        if finished.artifacts or finished.workspace.used:
            return asyncio.ensure_future(self._waiting.put(finished))
        self._settler.hand_on(finished.held, finished.settlement)
        return None

    async def join(self) -> None:
        """Return when every attempt taken is handed on."""
        await self._waiting.join()

    async def run(self) -> None:
        """Work until cancelled; several may run side by side."""
        while True:
            finished = await self._waiting.get()
            try:
                settlement = await self._uploaded(finished) if finished.artifacts else finished.settlement
                if settlement is None:
                    self._state.held.release(finished.held)
                else:
                    self._settler.hand_on(finished.held, settlement)
            finally:
                await self._state.calls.once(finished.workspace.remove)
                self._waiting.task_done()

    async def _uploaded(self, finished: Finished) -> Settlement | None:
        """Return the settlement to make after the upload; None when the lease is lost."""
        state, job = self._state, finished.held.job
        try:
            rows = await state.calls.patiently(upload_artifacts, state.queue, state.store, job, finished.artifacts)
        except LeaseLost:
            state.metrics.count("lease_lost")
            sentence = f"The lease on {job.type} job {job.id} was lost before its artifacts were up: they are dropped."
            state.tell(EventKind.LEASE_LOST, Stage.UPLOAD, job, sentence)
            return None
        except (ArtifactStoreError, QueueError, OSError) as error:
            state.warn(f"The artifacts of {job.type} job {job.id} could not be uploaded: {error}", job)
            return _without_artifacts(finished.settlement, error, state.options.secrets)
        state.tell(EventKind.UPLOADED, Stage.UPLOAD, job, artifacts=rows)
        return finished.settlement


class Settler:
    """Settles attempts: whatever has ended while the call before was under way goes into the next one."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._waiting: asyncio.Queue[tuple[HeldJob, Settlement]] = asyncio.Queue()

    def hand_on(self, held: HeldJob, settlement: Settlement) -> None:
        """Take an ended attempt."""
        self._waiting.put_nowait((held, settlement))

    async def join(self) -> None:
        """Return when every attempt taken is settled."""
        await self._waiting.join()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._settle(batch)
            for _ in batch:
                self._waiting.task_done()

    async def _settle(self, batch: list[tuple[HeldJob, Settlement]]) -> None:
        try:
            answers = await self._state.calls.patiently(
                self._state.queue.settle, [settlement for _, settlement in batch]
            )
        except (QueueError, TypeError, ValueError, RecursionError) as error:  # the engine's word, or no JSON at all
            await self._settle_apart(batch, error)
            return
        for (held, settlement), settled in zip(batch, answers, strict=True):
            self._record(settlement, settled)
            self._state.held.release(held)

    async def _settle_apart(self, batch: list[tuple[HeldJob, Settlement]], error: Exception) -> None:
        """The engine refused the whole call: find the settlement it cannot store, and fail that job alone."""
        if len(batch) > 1:
            for item in batch:
                await self._settle([item])
            return
        held, settlement = batch[0]
        if settlement.error is not None and settlement.error.error_class == "unstorable_result":
            self._state.warn(
                f"The engine refuses every end of job {held.job.id}; its lease will expire: {error}", held.job
            )
            self._state.held.release(held)
            return
        reason = JobError("unstorable_result", f"The result cannot be stored as JSON: {error}", retryable=False)
        error_shown = reason.redacted(self._state.options.secrets)
        await self._settle([(held, replace(settlement, outcome=Outcome.FAILED, result=None, error=error_shown))])

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


def _counter(outcome: Outcome, job_status: str | None) -> str:
    if outcome is Outcome.FAILED and job_status == "queued":
        return "retried"
    return job_status if job_status in ("failed", "cancelled") else outcome.value


def _without_artifacts(settlement: Settlement, error: Exception, secrets: Collection[str]) -> Settlement:
    """A success whose files are lost is a failure to try again; a failure stays what it is."""
    if settlement.outcome is not Outcome.SUCCEEDED:
        return settlement
    return replace(
        settlement,
        outcome=Outcome.FAILED,
        result=None,
        error=JobError("artifact_upload", f"The artifacts could not be stored: {error}").redacted(secrets),
    )
