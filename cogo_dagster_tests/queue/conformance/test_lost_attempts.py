"""Lost attempts in a row are counted, and a recovered claim returns no jobs when repeated."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import (
    BROKEN,
    a_worker,
    add,
    dead_letters,
    look,
    register,
    running_job,
    settle,
    take,
    take_one,
)


def lose(queue: Queue, age: Age, job: Job) -> None:
    """Expire the lease of a job and recover it."""
    age(job, 3600)
    queue.recover()


def claimed(transport: Transport) -> Json:
    """Claim the one due job; return its row as the database returns it."""
    claim: Json = {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": 1}],
        "worker_id": "worker",
    }
    [row] = transport.call("claim_jobs", claim)["jobs"]
    return row


def test_a_claim_returns_the_number_of_attempts_lost_in_a_row(transport: Transport, queue: Queue, age: Age) -> None:
    """The number is 0 at first, and increases with each expired lease."""
    job_id = add(queue, max_attempts=9)
    for lost in range(4):
        row = claimed(transport)
        assert (row["id"], row["lost_attempts"], row["attempts"]) == (str(job_id), lost, lost + 1)
        age(job_id, 3600)
        queue.recover()


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SNOOZED])
def test_an_attempt_that_ends_otherwise_resets_the_count(
    transport: Transport, queue: Queue, age: Age, outcome: Outcome
) -> None:
    """An attempt that did not end its worker resets the count."""
    lose(queue, age, running_job(queue))
    job = take_one(queue)
    settle(queue, job, outcome, error=BROKEN, delay_seconds=0)
    age(job, 3600)
    assert claimed(transport)["lost_attempts"] == 0


def test_a_requeued_attempt_does_not_change_the_count(transport: Transport, queue: Queue, age: Age) -> None:
    """Neither a stop of the worker nor waiting in a worker that died changes the count."""
    lose(queue, age, running_job(queue))
    settle(queue, take_one(queue), Outcome.REQUEUED)
    worker = a_worker()
    register(queue, worker)
    lose(queue, age, take_one(queue, worker=worker, prefetch=True))
    row = claimed(transport)
    assert (row["lost_attempts"], row["attempts"]) == (1, 2)


def test_a_success_resets_the_count(queue: Queue, age: Age) -> None:
    """A finished job has no lost attempts."""
    lose(queue, age, running_job(queue))
    job = take_one(queue)
    assert look(queue, job)["lost_attempts"] == 1
    settle(queue, job)
    assert look(queue, job)["lost_attempts"] == 0


def test_a_recovered_claim_returns_nothing_when_repeated(
    transport: Transport, queue: Queue, owner: Owner, age: Age
) -> None:
    """A claim repeated after an outage longer than the lease does not use a token twice."""
    first, later = add(queue), add(queue)
    claim: Json = {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": 1}],
        "worker_id": "worker",
    }
    assert [job["id"] for job in transport.call("claim_jobs", claim)["jobs"]] == [str(first)]
    age(first, 3600)
    queue.recover()
    assert transport.call("claim_jobs", claim) == {"jobs": [], "claim_ended": True}
    assert {look(queue, job_id)["status"] for job_id in (first, later)} == {"queued"}
    tokens = owner.execute("select count(*), count(distinct (job_id, lease_token)) from public.job_attempts").fetchone()
    assert tokens == (1, 1)


def test_a_repeated_claim_returns_jobs_whose_lease_was_not_recovered(queue: Queue, age: Age) -> None:
    """Of two jobs of one claim only one was recovered: the repeated claim returns the other."""
    add(queue)
    add(queue)
    lost, kept = take(queue)
    lose(queue, age, lost)
    assert [job.id for job in take(queue, claim_id=lost.lease_token)] == [kept.id]


def test_the_client_claims_again_with_a_new_id(queue: Queue, age: Age) -> None:
    """Its caller gets jobs with new tokens."""
    job = running_job(queue)
    lose(queue, age, job)
    [again] = take(queue, claim_id=job.lease_token)
    assert again.id == job.id
    assert again.lease_token != job.lease_token


def test_a_recovered_claim_by_id_returns_nothing_when_repeated(transport: Transport, queue: Queue, age: Age) -> None:
    """The same rule holds for jobs that are claimed by ID."""
    job_id = add(queue)
    claim: Json = {"claim_id": str(uuid4()), "job_ids": [str(job_id)], "worker_id": "worker"}
    assert len(transport.call("claim_chosen_jobs", claim)["jobs"]) == 1
    age(job_id, 3600)
    queue.recover()
    assert transport.call("claim_chosen_jobs", claim) == {"jobs": [], "claim_ended": True}


def test_an_uncounted_snooze_does_not_count_towards_the_limit(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The attempt is not counted either, however often a shared dependency is unreachable."""
    job = running_job(queue)
    for _ in range(3):
        owner.execute("update public.jobs set snoozes = 99 where id = %s", (job.id,))
        snooze: Json = {
            "job_id": str(job.id),
            "lease_token": str(job.lease_token),
            "outcome": "snoozed",
            "delay_seconds": 0,
            "uncounted": True,
        }
        for _ in range(2):  # repeated, it changes nothing
            answer = transport.call("settle_jobs", {"settlements": [snooze]})
            assert answer == {"statuses": ["ok"], "job_statuses": ["queued"]}
        row = look(queue, job)
        assert (row["attempts"], row["snoozes"]) == (0, 99)
        assert row["superseded_attempts"][-1]["outcome"] == "snoozed"
        job = take_one(queue)
    assert dead_letters(queue) == []
    settle(queue, job, Outcome.SNOOZED)
    assert look(queue, job)["status"] == "failed"


def test_an_uncounted_snooze_of_a_job_with_a_cancel_request_cancels_it(transport: Transport, queue: Queue) -> None:
    """Every outcome but success does."""
    job = running_job(queue)
    queue.cancel(job.id)
    snooze: Json = {
        "job_id": str(job.id),
        "lease_token": str(job.lease_token),
        "outcome": "snoozed",
        "uncounted": True,
    }
    assert transport.call("settle_jobs", {"settlements": [snooze]})["job_statuses"] == ["cancelled"]
