"""Outcomes of attempts, and the job's row afterwards."""

import asyncio
import math
from collections.abc import Callable
from datetime import datetime

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.worker import execute
from cogo_dagster_tests.queue.steps import add, add_all, dead_letters, look
from cogo_dagster_tests.worker.bench import Bench
from cogo_dagster_tests.worker.executors import Body, FakeExecutor, succeed


def raising(make: Callable[[], BaseException]) -> Body:
    """Return an execution that raises the exception."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        raise make()

    return body


def returning(result: Json) -> Body:
    """Return an execution with this result."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        return ExecutionResult(result)

    return body


def test_an_invalid_payload_fails_permanently(bench: Bench, queue: Queue) -> None:
    """InvalidPayload is permanent: the job is dead-lettered after one attempt."""
    job = add(queue)
    report = bench.drain(FakeExecutor(raising(lambda: InvalidPayload("url is missing: give one."))))
    row = look(queue, job)
    assert (row["status"], row["attempts"], report.counters["failed"]) == ("failed", 1, 1)
    assert (row["error"]["class"], row["error"]["message"]) == ("invalid_payload", "url is missing: give one.")
    assert [dead["reason"] for dead in dead_letters(queue)] == ["permanent"]


def test_a_retryable_failure_is_queued_again(bench: Bench, queue: Queue) -> None:
    """A retryable failure counts an attempt and is retried after the backoff."""
    job = add(queue)
    failure = ExecutionFailed("The page did not load.", error_class="timeout", retryable=True, detail="log")
    report = bench.drain(FakeExecutor(raising(lambda: failure)))
    row = look(queue, job)
    assert (row["status"], row["attempts"], report.counters["retried"]) == ("queued", 1, 1)
    assert row["error"] == {"class": "timeout", "message": failure.message, "retryable": True, "detail": "log"}
    assert row["next_run_at"] > row["claimed_at"]


def test_a_permanent_failure_is_dead_lettered(bench: Bench, queue: Queue) -> None:
    """A failure that is not retryable ends the job at its first attempt."""
    job = add(queue)
    failure = ExecutionFailed("There is no such page.", error_class="http_status", retryable=False)
    bench.drain(FakeExecutor(raising(lambda: failure)))
    assert look(queue, job)["status"] == "failed"
    assert [dead["job_id"] for dead in dead_letters(queue)] == [str(job)]


def test_a_retry_after_is_the_minimum_delay(bench: Bench, queue: Queue) -> None:
    """After a Retry-After of ten minutes, the job does not run earlier."""
    job = add(queue)
    failure = ExecutionFailed("Too many requests.", error_class="http_status", retryable=True, delay_seconds=600)
    bench.drain(FakeExecutor(raising(lambda: failure)))
    row = look(queue, job)
    assert row["status"] == "queued"
    assert (_time(row["next_run_at"]) - _time(row["claimed_at"])).total_seconds() >= 600


def test_a_snooze_does_not_count_the_attempt(bench: Bench, queue: Queue) -> None:
    """A snoozed job waits for its delay, and has as many attempts left as before."""
    job = add(queue)
    report = bench.drain(FakeExecutor(raising(lambda: Snooze("The rate limit is used up.", delay_seconds=900))))
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["snoozes"], report.counters["snoozed"]) == ("queued", 0, 1, 1)
    assert (_time(row["next_run_at"]) - _time(row["claimed_at"])).total_seconds() >= 900
    assert row["lease_expires_at"] is None


def test_a_snooze_keeps_its_artifacts(bench: Bench, queue: Queue) -> None:
    """Its artifacts are stored with the job, so that the next attempt can continue from there."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        path = workspace.folder / "first.txt"
        path.write_text("done")
        raise Snooze("Later.", delay_seconds=900, artifacts=[ArtifactFile("first.txt", "text/plain", path, "first")])

    job = add(queue)
    bench.drain(FakeExecutor(body))
    row = look(queue, job)
    assert (row["status"], row["attempts"]) == ("queued", 0)
    assert [file["name"] for file in row["artifacts"]] == ["first.txt"]


def test_an_unexpected_exception_is_retried_with_its_traceback(bench: Bench, queue: Queue) -> None:
    """A bug in an executor fails its job with class, first line and traceback, and the worker continues."""
    job, other = add(queue), add(queue, "figma")
    buggy = FakeExecutor(raising(lambda: LookupError("no such element\nsecond line")))
    bench.drain(buggy, FakeExecutor(family="figma"))
    error = look(queue, job)["error"]
    assert (look(queue, job)["status"], error["retryable"]) == ("queued", True)
    assert (error["class"], error["message"]) == ("LookupError", "no such element")
    assert "Traceback" in error["detail"]
    assert "raise make()" in error["detail"]
    assert look(queue, other)["status"] == "succeeded"


@pytest.mark.parametrize("problem", [asyncio.CancelledError, SystemExit], ids=lambda problem: problem.__name__)
def test_an_executor_cannot_end_the_worker(bench: Bench, queue: Queue, problem: type[BaseException]) -> None:
    """An unrequested cancellation or an exit is a failed attempt, and no task remains."""
    job, other = add(queue), add(queue, "figma")
    report = bench.drain(FakeExecutor(raising(problem)), FakeExecutor(family="figma"))
    row = look(queue, job)
    assert (row["status"], row["attempts"]) == ("queued", 1)
    assert row["error"]["class"] == problem.__name__
    assert (report.counters["retried"], report.counters["succeeded"]) == (1, 1)
    assert look(queue, other)["status"] == "succeeded"


def test_the_last_attempt_is_dead_lettered(bench: Bench, queue: Queue) -> None:
    """A retryable failure of a job with one attempt is final."""
    job = add(queue, max_attempts=1)
    bench.drain(FakeExecutor(raising(lambda: OSError("disk full"))))
    assert look(queue, job)["status"] == "failed"
    assert [dead["reason"] for dead in dead_letters(queue)] == ["out_of_attempts"]


def test_a_job_is_cancelled_after_its_timeout(bench: Bench, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the executor does not enforce the timeout, the worker cancels the job later, and it is retried."""
    monkeypatch.setattr(execute, "_TIMEOUT_MARGIN_SECONDS", 0.1)

    async def forever(job: Job, workspace: Workspace) -> ExecutionResult:
        await asyncio.Event().wait()
        raise AssertionError

    job = add(queue, timeout_seconds=0.1)
    bench.drain(FakeExecutor(forever))
    row = look(queue, job)
    assert (row["status"], row["error"]["class"]) == ("queued", "timeout")
    assert row["error"]["message"] == "The job ran longer than its timeout of 0.1 s."


def test_an_executors_own_timeout_error_is_an_ordinary_failure(bench: Bench, queue: Queue) -> None:
    """A TimeoutError from an executor is reported unchanged, although the job has a timeout too."""
    job = add(queue, timeout_seconds=500)
    bench.drain(FakeExecutor(raising(lambda: TimeoutError("The socket said nothing."))))
    error = look(queue, job)["error"]
    assert (error["class"], error["message"]) == ("TimeoutError", "The socket said nothing.")


@pytest.mark.parametrize(
    "result",
    [{"when": object()}, {1, 2}, {"a": {"b": b"bytes"}}, ["x" * 2_000_000]],
    ids=["object", "set", "bytes", "too_large"],
)
def test_a_result_that_cannot_be_stored_fails_that_job_only(bench: Bench, queue: Queue, result: Json) -> None:
    """A result that is not JSON, or that Postgres rejects, is a permanent failure; other jobs succeed."""
    odd = add(queue, "odd")
    plain = add_all(queue, 5, "plain")

    report = bench.drain(FakeExecutor(returning(result), family="odd"), FakeExecutor(succeed, family="plain"))

    row = look(queue, odd)
    assert (row["status"], row["error"]["class"]) == ("failed", "unstorable_result")
    assert {job.document["status"] for job in queue.get_jobs(plain)} == {"succeeded"}
    assert (report.counters["failed"], report.counters["succeeded"]) == (1, 5)


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        ({"t": "cut \ud83d", "u": ["a\x00b"]}, {"t": "cut \ufffd", "u": ["a\ufffdb"], "text_replaced": True}),
        ({"n": math.nan, "i": -math.inf}, {"n": None, "i": None, "text_replaced": True}),
        ("\ud800", "\ufffd"),
        ({"t": "\ud83d" * 100_000}, {"t": "\ufffd" * 100_000, "text_replaced": True}),
    ],
    ids=["text", "number", "bare", "large"],
)
def test_a_result_is_made_storable(bench: Bench, queue: Queue, result: Json, stored: Json) -> None:
    """A lone surrogate, U+0000 or NaN is replaced, the attempt succeeds, and the result has `text_replaced`."""
    job = add(queue)
    bench.drain(FakeExecutor(returning(result)))
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["result"]) == ("succeeded", 1, stored)


@pytest.mark.parametrize("message", ["a\x00b", "a\ud800b"], ids=["nul", "surrogate"])
def test_an_error_that_cannot_be_stored_is_still_retried(bench: Bench, queue: Queue, message: str) -> None:
    """The content of an error message does not decide whether the job is retried."""
    job = add(queue)
    bench.drain(FakeExecutor(raising(lambda: ExecutionFailed(message, error_class="script", retryable=True))))
    row = look(queue, job)
    assert (row["status"], row["error"]["class"]) == ("queued", "script")
    assert row["error"]["message"].startswith("a")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
