"""Fencing: a stale worker can never overwrite a newer attempt, and a repeated call changes nothing."""

from collections.abc import Mapping
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue, Settled
from cogo_dagster.queue.errors import JobNotFound, LeaseLost
from cogo_dagster.queue.model import Job, Json, Outcome, Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, dead_letters, look, running_job, settle, take_one

pytestmark = pytest.mark.usefixtures("settled_by")

SINGLE_CALLS: dict[str, Mapping[str, Json]] = {
    "complete_job": {"result": {"stale": True}},
    "fail_job": {"error": {"class": "stale", "message": "stale"}},
    "snooze_job": {"delay_seconds": 5},
    "requeue_job": {},
}

STATUS_AFTER = {"complete_job": "succeeded", "fail_job": "queued", "snooze_job": "queued", "requeue_job": "queued"}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_stale_worker_cannot_overwrite_a_newer_attempt(queue: Queue, age: Age, outcome: Outcome) -> None:
    """The first worker's lease expired and the job was claimed again: the first worker's outcome is rejected."""
    stale = running_job(queue)
    newer = _taken_over(queue, stale, age)
    before = look(queue, newer)
    assert settle(queue, stale, outcome, result={"stale": True}, error=BROKEN) == Settled("lease_lost", "running")
    assert look(queue, newer) == before
    assert settle(queue, newer, result="newer") == Settled("ok", "succeeded")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_finished_job_cannot_be_overwritten(queue: Queue, age: Age, outcome: Outcome) -> None:
    """After the newer attempt has ended, the stale one leaves its result unchanged."""
    stale = running_job(queue)
    newer = _taken_over(queue, stale, age)
    settle(queue, newer, result="newer")
    assert settle(queue, stale, outcome, result="stale", error=BROKEN) == Settled("lease_lost", "succeeded")
    assert look(queue, stale)["result"] == "newer"


def test_an_expired_lease_that_was_not_recovered_can_settle(queue: Queue, age: Age) -> None:
    """The outcome counts, since no other attempt has begun."""
    job = running_job(queue)
    age(job, 86_400)
    assert settle(queue, job) == Settled("ok", "succeeded")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_settling_is_idempotent(queue: Queue, outcome: Outcome) -> None:
    """A repeated call returns the same result and changes nothing."""
    job = running_job(queue)
    first = settle(queue, job, outcome, error=BROKEN, delay_seconds=60)
    before = look(queue, job)
    assert settle(queue, job, outcome, error=BROKEN, delay_seconds=60) == first
    assert first.status == "ok"
    assert look(queue, job) == before


def test_a_repeat_is_recognised_after_the_next_attempt_began(queue: Queue, age: Age) -> None:
    """The failure of the first attempt is repeated while the second runs: the result is ok, the second unchanged."""
    first = running_job(queue)
    settle(queue, first, Outcome.FAILED, error=BROKEN)
    age(first, 3600)
    second = take_one(queue)
    assert settle(queue, first, Outcome.FAILED, error=BROKEN) == Settled("ok", "running")
    assert settle(queue, first) == Settled("lease_lost", "running")
    assert settle(queue, second) == Settled("ok", "succeeded")


def test_an_outcome_cannot_be_replaced(queue: Queue) -> None:
    """The same token cannot settle with another outcome."""
    job = running_job(queue, max_attempts=1)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    assert settle(queue, job) == Settled("lease_lost", "failed")
    assert look(queue, job)["status"] == "failed"
    assert len(dead_letters(queue)) == 1


def test_one_stale_item_leaves_the_others_of_its_batch(queue: Queue, age: Age) -> None:
    """The other items are settled, and each result is at its index."""
    stale, good, bad = (running_job(queue) for _ in range(3))
    _taken_over(queue, stale, age)
    unknown: Job = Job(uuid4(), "browser", {}, 1, 1, uuid4())
    answers = queue.settle(
        [
            Settlement(stale, Outcome.SUCCEEDED),
            Settlement(good, Outcome.SUCCEEDED),
            Settlement(unknown, Outcome.SUCCEEDED),
            Settlement(bad, Outcome.FAILED, error=BROKEN),
        ]
    )
    assert answers == [
        Settled("lease_lost", "running"),
        Settled("ok", "succeeded"),
        Settled("job_not_found", None),
        Settled("ok", "queued"),
    ]


def test_two_attempts_of_one_job_in_one_batch_are_distinguished(queue: Queue, age: Age) -> None:
    """A worker lost a job, claimed it again and settles both attempts together: only the newer one is accepted."""
    stale = running_job(queue)
    newer = _taken_over(queue, stale, age)
    answers = queue.settle(
        [Settlement(stale, Outcome.SUCCEEDED, "stale"), Settlement(newer, Outcome.SUCCEEDED, "newer")]
    )
    assert [answer.status for answer in answers] == ["lease_lost", "ok"]
    assert look(queue, newer)["result"] == "newer"


def test_an_empty_batch_is_valid(queue: Queue) -> None:
    """An empty batch has an empty result."""
    assert queue.settle([]) == []


@pytest.mark.parametrize("call", SINGLE_CALLS)
def test_a_single_call_ends_its_attempt_and_may_be_repeated(queue: Queue, transport: Transport, call: str) -> None:
    """The call returns the job's new status, and the same when repeated."""
    job = running_job(queue)
    answer = {"job_id": str(job.id), "status": STATUS_AFTER[call]}
    for _ in range(2):
        assert transport.call(call, _arguments(job, call)) == answer


@pytest.mark.parametrize("call", SINGLE_CALLS)
def test_a_single_call_raises_when_the_lease_is_lost(queue: Queue, transport: Transport, age: Age, call: str) -> None:
    """The message says to stop, and the newer attempt is unchanged."""
    stale = running_job(queue)
    newer = _taken_over(queue, stale, age)
    before = look(queue, newer)
    with pytest.raises(LeaseLost, match=f"The lease on job {stale.id} is lost.*Stop working on it"):
        transport.call(call, _arguments(stale, call))
    assert look(queue, newer) == before


@pytest.mark.parametrize("call", SINGLE_CALLS)
def test_a_single_call_raises_when_there_is_no_such_job(transport: Transport, call: str) -> None:
    """The message names the ID."""
    unknown: Job = Job(uuid4(), "browser", {}, 1, 1, uuid4())
    with pytest.raises(JobNotFound, match=f"There is no job {unknown.id}"):
        transport.call(call, _arguments(unknown, call))


def test_fail_job_accepts_a_permanent_failure_and_a_delay(queue: Queue, transport: Transport, owner: Owner) -> None:
    """`retryable` false dead-letters the job; `delay_seconds` is the minimum of the backoff."""
    permanent, delayed = running_job(queue), running_job(queue)
    permanent_answer = transport.call("fail_job", {**_arguments(permanent, "fail_job"), "retryable": False})
    assert permanent_answer["status"] == "failed"
    transport.call("fail_job", {**_arguments(delayed, "fail_job"), "delay_seconds": 7_200})
    waiting = owner.execute("select count(*) from public.jobs where next_run_at > now() + interval '7100 s'").fetchone()
    assert waiting == (1,)


def _taken_over(queue: Queue, job: Job, age: Age) -> Job:
    age(job, 3600)
    queue.recover()
    newer = take_one(queue)
    assert newer.id == job.id
    return newer


def _arguments(job: Job, call: str) -> dict[str, Json]:
    return {"job_id": str(job.id), "lease_token": str(job.lease_token), **SINGLE_CALLS[call]}
