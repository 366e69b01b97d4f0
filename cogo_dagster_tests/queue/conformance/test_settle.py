"""Settle: the effect of each outcome on a job."""

import pytest

from cogo_dagster.queue.client import Queue, Settled
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import JobError, Json, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import (
    BROKEN,
    PERMANENT,
    dead_letters,
    look,
    running_job,
    settle,
    take,
    take_one,
)

pytestmark = pytest.mark.usefixtures("settled_by")


def test_success_stores_the_result_and_the_run_time(queue: Queue) -> None:
    """The job has succeeded, and its lease is released."""
    job = running_job(queue)
    assert settle(queue, job, result={"pages": 3}, run_seconds=1.25) == Settled("ok", "succeeded")
    row = look(queue, job)
    assert (row["status"], row["result"], row["run_seconds"]) == ("succeeded", {"pages": 3}, 1.25)
    assert row["finished_at"] is not None
    assert row["lease_expires_at"] is None


def test_success_after_a_failure_leaves_no_error(queue: Queue, age: Age) -> None:
    """The error of the first attempt is kept with that attempt."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    age(job.id, 3600)
    settle(queue, take_one(queue))
    row = look(queue, job)
    assert (row["status"], row["error"], row["attempts"]) == ("succeeded", None, 2)
    assert row["superseded_attempts"][0]["error"]["class"] == "timeout"


def test_a_failure_is_retried_later_and_recorded(queue: Queue) -> None:
    """The job is queued with its error, and the attempt is recorded."""
    job = running_job(queue)
    assert settle(queue, job, Outcome.FAILED, error=BROKEN, run_seconds=2) == Settled("ok", "queued")
    assert take(queue) == []
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["finished_at"]) == ("queued", 1, None)
    assert row["error"] == {"class": "timeout", "message": "The page did not load.", "retryable": True, "detail": None}
    [attempt] = row["superseded_attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["run_seconds"]) == (1, "failed", 2)
    assert (attempt["worker_id"], attempt["error"]) == ("worker", row["error"])


@pytest.mark.parametrize(
    ("attempts", "least", "most"), [(1, 5, 10), (2, 10, 20), (4, 40, 80), (9, 1280, 2560), (20, 1800, 3600)]
)
def test_the_wait_doubles_with_each_attempt(
    queue: Queue, owner: Owner, attempts: int, least: float, most: float
) -> None:
    """The delay is between half of 10 s · 2^(attempts - 1) and the whole, and at most an hour."""
    enqueued = queue.enqueue([NewJob("browser", max_attempts=100)] * 20)
    owner.execute("update public.jobs set attempts = %s", (attempts - 1,))
    queue.settle([Settlement(job, Outcome.FAILED, error=BROKEN) for job in take(queue)])
    waits = [_wait_seconds(owner, str(one.job_id)) for one in enqueued]
    assert least <= min(waits)
    assert max(waits) <= most
    assert len(set(waits)) > 1, "Without jitter, jobs that failed together return together."


def test_a_retry_after_is_the_minimum_delay(queue: Queue, owner: Owner) -> None:
    """A longer delay overrides the backoff; a shorter one has no effect."""
    delayed, immediate = running_job(queue), running_job(queue)
    settle(queue, delayed, Outcome.FAILED, error=BROKEN, delay_seconds=5_000)
    settle(queue, immediate, Outcome.FAILED, error=BROKEN, delay_seconds=0.5)
    assert _wait_seconds(owner, str(delayed.id)) == pytest.approx(5_000)
    assert _wait_seconds(owner, str(immediate.id)) >= 5


def test_the_last_attempt_is_dead_lettered_with_all_fields(queue: Queue) -> None:
    """The row of the DLQ does not need its job."""
    job = running_job(queue, "browser.pdf", payload={"url": "x"}, priority=3, max_attempts=1, timeout_seconds=9)
    assert settle(queue, job, Outcome.FAILED, error=BROKEN) == Settled("ok", "failed")
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("failed", 1, "timeout")
    [dead] = dead_letters(queue)
    assert (dead["job_id"], dead["type"], dead["attempts"], dead["max_attempts"]) == (str(job.id), "browser.pdf", 1, 1)
    assert (dead["reason"], dead["error"], dead["failed_at"]) == ("out_of_attempts", row["error"], row["finished_at"])


def test_a_dead_lettered_job_has_the_fields_for_a_replay(queue: Queue, owner: Owner) -> None:
    """Payload, executor ID, priority and limits are in its row."""
    job = running_job(queue, payload={"url": "x"}, priority=3, max_attempts=1, timeout_seconds=9)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    kept = owner.execute("select payload, executor_id, priority, max_attempts, timeout_seconds from public.jobs_dlq")
    assert kept.fetchall() == [({"url": "x"}, None, 3, 1, 9)]


def test_a_permanent_failure_is_dead_lettered_at_once(queue: Queue) -> None:
    """There is no second attempt, even if attempts are left."""
    job = running_job(queue)
    assert settle(queue, job, Outcome.FAILED, error=PERMANENT) == Settled("ok", "failed")
    assert [dead["reason"] for dead in dead_letters(queue)] == ["permanent"]
    assert take(queue) == []


def test_a_snooze_does_not_count_the_attempt(queue: Queue, age: Age, owner: Owner) -> None:
    """The job runs again after the delay, with the same attempt number."""
    job = running_job(queue, max_attempts=1)
    assert settle(queue, job, Outcome.SNOOZED, delay_seconds=90) == Settled("ok", "queued")
    assert _wait_seconds(owner, str(job.id)) == pytest.approx(90)
    assert look(queue, job)["snoozes"] == 1
    age(job.id, 91)
    assert take_one(queue).attempts == 1


def test_the_hundredth_snooze_is_a_failure(queue: Queue, owner: Owner) -> None:
    """A job cannot be snoozed without limit, and a repeated call is safe."""
    job = running_job(queue)
    owner.execute("update public.jobs set snoozes = 98")
    assert settle(queue, job, Outcome.SNOOZED, delay_seconds=0) == Settled("ok", "queued")
    job = take_one(queue)
    assert settle(queue, job, Outcome.SNOOZED, delay_seconds=0) == Settled("ok", "failed")
    assert settle(queue, job, Outcome.SNOOZED, delay_seconds=0) == Settled("ok", "failed")
    assert [dead["reason"] for dead in dead_letters(queue)] == ["snoozed_too_often"]


def test_a_requeue_does_not_count_the_attempt(queue: Queue) -> None:
    """The job is due at once, and its lease is released."""
    job = running_job(queue, max_attempts=1)
    assert settle(queue, job, Outcome.REQUEUED) == Settled("ok", "queued")
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["lease_expires_at"], row["snoozes"]) == ("queued", 0, None, 0)
    assert [attempt["outcome"] for attempt in row["superseded_attempts"]] == ["released"]
    again = take_one(queue)
    assert (again.attempts, again.lease_token == job.lease_token) == (1, False)


def test_a_worker_may_settle_an_attempt_as_cancelled(queue: Queue) -> None:
    """The job is neither retried nor dead-lettered."""
    job = running_job(queue)
    queue.cancel(job.id)
    assert settle(queue, job, Outcome.CANCELLED) == Settled("ok", "cancelled")
    assert look(queue, job)["finished_at"] is not None
    assert dead_letters(queue) == []


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SNOOZED, Outcome.REQUEUED])
def test_a_cancel_request_overrides_every_outcome_but_success(queue: Queue, outcome: Outcome) -> None:
    """The job does not run again."""
    job = running_job(queue, max_attempts=1)
    queue.cancel(job.id)
    assert settle(queue, job, outcome, error=BROKEN) == Settled("ok", "cancelled")
    assert (take(queue), dead_letters(queue)) == ([], [])


def test_success_overrides_a_cancel_request(queue: Queue) -> None:
    """A success counts, since the work is done."""
    job = running_job(queue)
    queue.cancel(job.id)
    assert settle(queue, job, result=1) == Settled("ok", "succeeded")
    assert look(queue, job)["result"] == 1


def test_any_json_can_be_a_result(queue: Queue) -> None:
    """Nested documents, non-Latin strings and null are stored unchanged."""
    results: list[Json] = [None, True, 1.5, "ü\n\"'", [], {"a": [None, {"b": "😀"}]}]
    for result in results:
        job = running_job(queue)
        settle(queue, job, result=result)
        assert look(queue, job)["result"] == result


def test_a_long_message_is_truncated(queue: Queue) -> None:
    """An error keeps 2,000 characters of its message and 20,000 of its detail."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=JobError("x", "m" * 3_000, detail="d" * 30_000))
    error = look(queue, job)["error"]
    assert (len(error["message"]), len(error["detail"])) == (2_000, 20_000)


@pytest.mark.parametrize("outcome", ["done", None, ""])
def test_an_unknown_outcome_is_rejected(queue: Queue, transport: Transport, outcome: str | None) -> None:
    """The message lists the five outcomes, and the job is unchanged."""
    job = running_job(queue)
    settlement = {"job_id": str(job.id), "lease_token": str(job.lease_token), "outcome": outcome}
    with pytest.raises(InvalidArgument, match="must be succeeded, failed, snoozed, requeued or cancelled"):
        transport.call("settle_jobs", {"settlements": [settlement]})
    assert look(queue, job)["status"] == "running"


def _wait_seconds(owner: Owner, job_id: str) -> float:
    # Measured from the time of the settlement.
    row = owner.execute(
        "select extract(epoch from j.next_run_at - a.finished_at)::float from public.jobs j"
        " join public.job_attempts a on a.job_id = j.id where j.id = %s order by a.finished_at desc",
        (job_id,),
    ).fetchone()
    assert row is not None
    seconds: float = row[0]
    return seconds
