"""The third stage: upload the artifacts of an attempt, then pass its outcome to the settler."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactRejected, ArtifactStoreUnavailable, Uploaded, store_artifacts
from cogo_dagster.queue.errors import AccessDenied, LeaseLost
from cogo_dagster.queue.model import JobError, Outcome, Settlement
from cogo_dagster.queue.worker.calls import wait_for_any
from cogo_dagster.queue.worker.events import EventKind, Stage
from cogo_dagster.queue.worker.settle import Settler
from cogo_dagster.queue.worker.state import Abandonment, HeldJob, WorkerState

_TRIES: Final = 5
"""Failed uploads of one attempt, while the store's check succeeds, before the attempt counts as failed."""
_FIRST_PAUSE_SECONDS: Final = 0.5
_STORE_POLL_SECONDS: Final = 2.0
_SNOOZE_SECONDS: Final = 60.0
_FAILURE_WAIT_SECONDS: Final = 30.0
"""How long a failed attempt waits for its artifacts to be stored: it can be settled without them."""


class Uploader:
    """Takes ended attempts, uploads their artifacts, and passes them to the settler.

    Attempts without artifacts go directly to the settler. Of those with artifacts at most `max_waiting` may wait; an
    attempt that waits for a place keeps its slot, so that a slow store slows down claims.
    """

    def __init__(self, state: WorkerState, settler: Settler, max_waiting: int) -> None:
        self._state = state
        self._settler = settler
        self._waiting: asyncio.Queue[HeldJob] = asyncio.Queue(max_waiting)

    def enqueue_result(self, held: HeldJob) -> "asyncio.Future[None] | None":
        """Take an ended attempt; return a future if there is no place in the queue yet."""
        if held.settlement.artifacts or (held.workspace is not None and held.workspace.used):
            return asyncio.ensure_future(self._waiting.put(held))
        self._settler.enqueue_result(held)
        return None

    async def join(self) -> None:
        """Return when every attempt is passed on."""
        await self._waiting.join()

    async def run(self) -> None:
        """Upload until cancelled; several may run concurrently."""
        while True:
            held = await self._waiting.get()
            try:
                settlement = await self._settlement_after_upload(held) if held.settlement.artifacts else held.settlement
                if settlement is None:
                    self._state.release(held)
                else:
                    held.settlement = settlement
                    self._settler.enqueue_result(held)
                if held.workspace is not None and held.workspace.used:
                    await self._state.calls.once(held.workspace.remove)
            finally:
                self._waiting.task_done()

    async def _settlement_after_upload(self, held: HeldJob) -> Settlement | None:
        """Return the settlement after the upload, or None if the lease is lost. Errors of the upload are not raised."""
        try:
            return await self._uploaded(held)
        except AccessDenied:
            raise
        except Exception as error:  # noqa: BLE001 - one job's artifacts must not end the worker
            return self._without_artifacts(held, error)

    async def _uploaded(self, held: HeldJob) -> Settlement | None:
        state, job = self._state, held.job
        wait_seconds = state.options.store_wait_seconds
        if held.settlement.outcome is not Outcome.SUCCEEDED:
            wait_seconds = min(wait_seconds, _FAILURE_WAIT_SECONDS)
        deadline = time.monotonic() + wait_seconds
        folder = held.workspace.folder if held.workspace is not None and held.workspace.used else None
        failures = 0
        if held.abandoned is Abandonment.LEASE_LOST:
            self._lost(held)
            return None
        while True:
            try:
                uploaded = await state.calls.with_retry(
                    store_artifacts, state.queue, state.store, job, held.settlement.artifacts, folder
                )
            except LeaseLost:
                self._lost(held)
                return None
            except ArtifactStoreUnavailable as error:
                failures += 1
                if state.storage.note_failure():
                    state.warn(
                        f"The artifact store is unavailable: {error} Finished attempts wait, and jobs that make "
                        "artifacts are not claimed until it is available again.",
                        job,
                    )
                if failures == _TRIES:
                    return self._without_artifacts(held, error)
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
                if not await self._wait_for_store(held, deadline):
                    return self._not_uploaded(held)
            else:
                return self._report_uploaded(held, uploaded)

    async def _wait_for_store(self, held: HeldJob, deadline: float) -> bool:
        """Wait for the store; return False if the lease is lost, the worker is force-stopped or the deadline passed."""
        state = self._state
        while not state.storage.available.is_set():
            if held.abandoned is Abandonment.LEASE_LOST or state.force_stop.is_set():
                return False
            now = time.monotonic()
            if state.claims_ended:
                deadline = min(deadline, now + state.options.grace_seconds)
            if now >= deadline:
                return False
            await wait_for_any(
                state.storage.available, state.force_stop, timeout_seconds=min(_STORE_POLL_SECONDS, deadline - now)
            )
        return True

    def _report_uploaded(self, held: HeldJob, uploaded: Uploaded) -> Settlement:
        job, rows = held.job, uploaded.rows
        artifacts = f"{len(rows)} {'artifact' if len(rows) == 1 else 'artifacts'}"
        message = f"Uploaded {artifacts} of {job.type} job {job.id}."
        self._state.emit(EventKind.UPLOADED, Stage.UPLOAD, job, message, artifacts=rows)
        return replace(held.settlement, stored=uploaded.to_record)

    def _lost(self, held: HeldJob) -> None:
        job = held.job
        self._state.metrics.count("lease_lost")
        message = (
            f"The lease of {job.type} job {job.id} was lost before the upload of its artifacts, which are dropped."
        )
        self._state.emit(EventKind.LEASE_LOST, Stage.UPLOAD, job, message)

    def _not_uploaded(self, held: HeldJob) -> Settlement | None:
        """Return the settlement if the store stayed unavailable: a success runs again without counting the attempt."""
        if held.abandoned is Abandonment.LEASE_LOST:
            self._lost(held)
            return None
        if held.settlement.outcome is not Outcome.SUCCEEDED:
            return held.settlement
        if self._state.force_stop.is_set():
            return replace(held.settlement, outcome=Outcome.REQUEUED, result=None)
        reason = JobError("store_unavailable", "The artifact store is unavailable: the job runs again later.")
        return replace(
            held.settlement,
            outcome=Outcome.SNOOZED,
            result=None,
            error=reason,
            delay_seconds=_SNOOZE_SECONDS,
            uncounted=True,
        )

    def _without_artifacts(self, held: HeldJob, error: Exception) -> Settlement:
        job = held.job
        self._state.warn(f"The artifacts of {job.type} job {job.id} could not be uploaded: {_message_of(error)}", job)
        return without_artifacts(held.settlement, error, self._state.options.secrets)


def without_artifacts(settlement: Settlement, error: Exception, secrets: Collection[str]) -> Settlement:
    """Return the settlement of an attempt whose artifacts could not be stored: a success becomes a failure."""
    if settlement.outcome is not Outcome.SUCCEEDED:
        return settlement
    rejected = isinstance(error, ArtifactRejected)
    reason = JobError(
        "artifact_rejected" if rejected else "artifact_upload",
        f"The artifacts could not be stored: {_message_of(error)}",
        retryable=not rejected,
    )
    return replace(settlement, outcome=Outcome.FAILED, result=None, error=reason.redacted(secrets))


def _message_of(error: Exception) -> str:
    return str(error)[:2_000] or type(error).__name__
