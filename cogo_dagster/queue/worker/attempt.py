"""One attempt of one job, from its executor's first step to a settlement: how every ending is read."""

import asyncio
import time
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.executor import ExecutionFailed, Executor, InvalidPayload, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, JobError, Outcome, Settlement

_TIMEOUT_MARGIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """How an attempt ended, and the files it leaves in its workspace."""

    settlement: Settlement
    artifacts: tuple[ArtifactFile, ...] = ()


async def run_attempt(
    executor: Executor, job: Job, workspace: Workspace, secrets: Collection[str] = ()
) -> EndedAttempt:
    """Run one attempt to its end; whatever the executor raises becomes an outcome, without these secrets.

    Raises:
        asyncio.CancelledError: We are cancelled, not the executor's own doing.
    """
    started_at = time.monotonic()
    artifacts: tuple[ArtifactFile, ...] = ()
    outcome, result, error, delay_seconds = Outcome.SUCCEEDED, None, None, None
    try:
        done = await _run(executor, job, workspace)
        result, artifacts = done.result, tuple(done.artifacts)
    except Snooze as snooze:
        outcome, delay_seconds, artifacts = Outcome.SNOOZED, snooze.delay_seconds, tuple(snooze.artifacts)
        error = JobError("snoozed", snooze.reason)
    except ExecutionFailed as failed:
        outcome, delay_seconds, artifacts = Outcome.FAILED, failed.delay_seconds, tuple(failed.artifacts)
        error = JobError(failed.error_class, failed.message, failed.retryable, failed.detail)
    except (Exception, SystemExit, asyncio.CancelledError) as problem:  # an executor's bug is not the worker's
        if _is_cancelled():
            raise
        outcome, error = Outcome.FAILED, _unexpected(problem)
    error = error.redacted(secrets) if error else None
    run_seconds = round(time.monotonic() - started_at, 6)
    return EndedAttempt(Settlement(job, outcome, result, error, delay_seconds, run_seconds), artifacts)


async def _run(executor: Executor, job: Job, workspace: Workspace) -> ExecutionResult:
    limit = job.timeout_seconds
    try:
        if limit is None:
            return await executor.execute(job, workspace)
        async with asyncio.timeout(limit + _TIMEOUT_MARGIN_SECONDS) as timer:
            return await executor.execute(job, workspace)
    except TimeoutError as error:
        if limit is None or not timer.expired():
            raise
        message = f"The job ran longer than its timeout of {limit:g} s."
        raise ExecutionFailed(message, error_class="timeout", retryable=True) from error
    except InvalidPayload as error:
        raise ExecutionFailed(str(error), error_class="invalid_payload", retryable=False) from error


def _is_cancelled() -> bool:
    """Whether somebody cancelled this task, rather than the executor one of its own whose end it let through."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unexpected(problem: BaseException) -> JobError:
    first_line = (str(problem).strip() or type(problem).__name__).split("\n", 1)[0]
    return JobError(
        type(problem).__name__, first_line, retryable=True, detail="".join(traceback.format_exception(problem))
    )
