"""One attempt of one job: turns whatever the executor returns or raises into an outcome."""

import asyncio
import math
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from cogo_dagster.queue.decoding import PartlyUnreadable
from cogo_dagster.queue.executor import ExecutionFailed, Executor, Interrupted, InvalidPayload, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, JobError, Json, Outcome, Settlement
from cogo_dagster.redaction import redactor_of
from cogo_dagster.text import storable, storable_json

T = TypeVar("T")

InThread = Callable[[Callable[[], Json]], Awaitable[Json]]
"""Runs a function outside the event loop."""

_UNREADABLE: Final = (
    "The payload cannot be read: it contains numbers of more than 300 digits, or is nested more than 100 levels deep. "
    "Enqueue the job again with a smaller payload."
)

_MARGIN_CHARACTERS: Final = 60_000
"""Text is cut to its limit plus this margin before it is redacted, so that the cut does not leave part of a secret."""
_MESSAGE_CHARACTERS: Final = 2_000 + _MARGIN_CHARACTERS
_DETAIL_CHARACTERS: Final = 20_000 + _MARGIN_CHARACTERS
_FRAMES: Final = 50
_MAX_DELAY_SECONDS: Final = 31_536_000.0
_SMALL_PARTS: Final = 100
_SMALL_CHARACTERS: Final = 20_000


async def run_attempt(
    executor: Executor,
    job: Job,
    workspace: Workspace,
    secrets: Collection[str] = (),
    in_thread: InThread = asyncio.to_thread,
) -> Settlement:
    """Run one attempt and return its outcome and artifacts, with secrets redacted.

    Nothing is raised, not even `CancelledError`: the caller that cancels the attempt has the reason and interprets
    the outcome accordingly.
    """
    started_at = time.monotonic()
    try:
        if isinstance(job.payload, PartlyUnreadable):
            settlement = _failure(job, JobError("unreadable", _UNREADABLE, retryable=False))
        else:
            settlement = _success(job, await executor.execute(_parsed(executor, job), workspace))
            if settlement.result is not None:
                settlement.result = await storable_result_of(settlement.result, secrets, in_thread)
    except BaseException as problem:  # an error of an executor must not end the worker
        if isinstance(problem, GeneratorExit) and not _loop_is_running():
            raise  # this coroutine itself is being closed
        settlement = _ending(job, problem)
    if settlement.error is not None:
        settlement.error = settlement.error.redacted(secrets)
    if settlement.artifacts:
        settlement.artifacts = storable_files(settlement.artifacts, secrets)
    settlement.run_seconds = round(time.monotonic() - started_at, 6)
    return settlement


def _parsed(executor: Executor, job: Job) -> Job[Any]:
    """Return the job with its payload parsed by the executor."""
    payload = executor.parse(job.type, job.payload)
    return job if payload is job.payload else replace(job, payload=payload)


def _failure(job: Job, error: JobError) -> Settlement:
    return Settlement(job, Outcome.FAILED, error=error)


def _success(job: Job, done: object) -> Settlement:
    if not isinstance(done, ExecutionResult):
        return _failure(job, _invalid(f"The executor returned {_type_name(done)} instead of an ExecutionResult."))
    artifacts = _files(done.artifacts)
    if artifacts is None:
        return _failure(job, _invalid("The executor returned artifacts that are not ArtifactFile objects."))
    return Settlement(job, Outcome.SUCCEEDED, done.result, artifacts=artifacts)


def _ending(job: Job, problem: BaseException) -> Settlement:
    """Return the outcome for an exception."""
    if isinstance(problem, Interrupted):
        return Settlement(job, Outcome.REQUEUED)
    if isinstance(problem, InvalidPayload):
        return _failure(job, JobError("invalid_payload", _message(problem), retryable=False))
    if isinstance(problem, Snooze):
        return _snoozed(job, problem)
    if isinstance(problem, ExecutionFailed):
        return _known_failure(job, problem)
    return _failure(job, JobError(_type_name(problem), _message(problem), detail=_traceback(problem)))


def _snoozed(job: Job, snooze: Snooze) -> Settlement:
    delay_seconds, artifacts = _delay_seconds(snooze.delay_seconds), _files(snooze.artifacts)
    if delay_seconds is None or artifacts is None:
        message = "The executor raised Snooze without a number of seconds, or with invalid artifacts."
        return _failure(job, _invalid(message))
    reason = JobError("snoozed", _text(snooze.reason, _MESSAGE_CHARACTERS))
    return Settlement(job, Outcome.SNOOZED, error=reason, delay_seconds=delay_seconds, artifacts=artifacts)


def _known_failure(job: Job, failed: ExecutionFailed) -> Settlement:
    error = JobError(
        _text(failed.error_class, 100) or "failed",
        _text(failed.message, _MESSAGE_CHARACTERS) or "The executor gave no message.",
        retryable=failed.retryable is not False,
        detail=_text(failed.detail, _DETAIL_CHARACTERS) if failed.detail is not None else None,
    )
    return Settlement(
        job,
        Outcome.FAILED,
        error=error,
        delay_seconds=_delay_seconds(failed.delay_seconds),
        artifacts=_files(failed.artifacts) or (),
    )


def _files(artifacts: object) -> tuple[ArtifactFile, ...] | None:
    """Return the artifacts, or None if one of them is not an ArtifactFile."""
    if isinstance(artifacts, tuple) and not artifacts:
        return ()
    files = _attempted(lambda: tuple(cast("Iterable[object]", artifacts)), None)
    if files is None or not all(isinstance(file, ArtifactFile) for file in files):
        return None
    return cast("tuple[ArtifactFile, ...]", files)


def _delay_seconds(value: object) -> float | None:
    """Return the delay limited to what the queue accepts, or None if it is not a finite number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value >= _MAX_DELAY_SECONDS:
        return _MAX_DELAY_SECONDS
    return float(value) if value > 0 else 0.0


def _invalid(message: str) -> JobError:
    return JobError("invalid_outcome", message, retryable=False)


def _message(problem: BaseException) -> str:
    """Return the first line of an exception's text, or its type name if the text is empty or cannot be read."""
    text = _attempted(lambda: str(problem), "")
    first_line = text[: _MESSAGE_CHARACTERS + 1_000].strip().split("\n", 1)[0]
    return first_line[:_MESSAGE_CHARACTERS] or _type_name(problem)


def _traceback(problem: BaseException) -> str:
    lines: list[str] = _attempted(lambda: traceback.format_exception(problem, limit=_FRAMES), [])
    text = "".join(line[:_DETAIL_CHARACTERS] for line in lines)
    return (
        text if len(text) <= _DETAIL_CHARACTERS else text[: _DETAIL_CHARACTERS // 2] + text[-_DETAIL_CHARACTERS // 2 :]
    )


def _text(value: object, max_characters: int) -> str:
    return _attempted(lambda: str(value), _type_name(value))[:max_characters] if value is not None else ""


def _type_name(value: object) -> str:
    return type(value).__name__[:100]


def _attempted(make: Callable[[], T], otherwise: T) -> T:
    """Return the result of a call into an executor's object, or a default if the call raises."""
    try:
        return make()
    except BaseException:  # noqa: BLE001 - the object's own code: it may raise anything
        return otherwise


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_small(value: Json) -> bool:
    """Whether traversing the whole document takes less than a millisecond."""
    parts, characters = 0, 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        parts += 1
        if isinstance(part, str):
            characters += len(part)
        elif isinstance(part, dict):
            parts += len(part)
            if parts > _SMALL_PARTS:
                return False
            characters += sum(len(name) for name in part if isinstance(name, str))
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            parts += len(part)
            if parts > _SMALL_PARTS:
                return False
            waiting.extend(part)
        if parts > _SMALL_PARTS or characters > _SMALL_CHARACTERS:
            return False
    return True


def storable_result(result: Json, secrets: Collection[str]) -> Json:
    """Return a result as it may be stored; an object gets `text_replaced` if characters had to be replaced.

    Raises:
        Exception: The result is an object of a custom type that fails when it is read.
    """
    if result is None:
        return None
    stored, changed = storable_json(result)
    if changed and isinstance(stored, dict):
        stored = {**stored, "text_replaced": True}
    return redactor_of(tuple(secrets), known_only=True).json(stored)


def storable_files(artifacts: tuple[ArtifactFile, ...], secrets: Collection[str]) -> tuple[ArtifactFile, ...]:
    """Return the artifacts under names that may be stored and shown."""
    return tuple(_storable_file(file, secrets) for file in artifacts)


def _storable_file(file: ArtifactFile, secrets: Collection[str]) -> ArtifactFile:
    value: object = file.name
    if not isinstance(value, str):  # rejected at the upload
        return file
    name = redactor_of(tuple(secrets), known_only=True).text(storable(file.name))
    return file if name == file.name else replace(file, name=name)


async def storable_result_of(result: Json, secrets: Collection[str], in_thread: InThread) -> Json:
    """Return the result as it may be stored; a large one is processed in a thread."""
    if is_small(result):
        return storable_result(result, secrets)
    return await in_thread(lambda: storable_result(result, secrets))
