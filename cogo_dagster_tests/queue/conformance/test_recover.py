"""Recover: jobs whose lease expired are requeued or failed, and their attempts counted as lost."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest

from cogo_dagster.queue.client import Queue, Recovered
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import (
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


def test_a_job_whose_lease_expired_is_due_again(queue: Queue, age: Age) -> None:
    """The attempt is counted and recorded as lost."""
    job = running_job(queue)
    age(job, 61)
    assert queue.recover() == Recovered(requeued=1, failed=0)
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["lease_expires_at"]) == ("queued", 1, None)
    assert row["error"]["class"] == "lease_expired"
    assert [(a["attempt"], a["outcome"]) for a in row["superseded_attempts"]] == [(1, "lost")]
    assert take_one(queue).attempts == 2


def test_a_valid_lease_is_not_recovered(queue: Queue) -> None:
    """Only the database's clock counts."""
    running_job(queue)
    assert queue.recover() == Recovered(0, 0)


def test_a_job_whose_last_attempt_is_lost_is_dead_lettered(queue: Queue, age: Age) -> None:
    """A job that always kills its worker does not run forever."""
    job = running_job(queue, max_attempts=1)
    age(job, 61)
    assert queue.recover() == Recovered(requeued=0, failed=1)
    assert look(queue, job)["status"] == "failed"
    [dead] = dead_letters(queue)
    assert (dead["job_id"], dead["reason"], dead["attempts"]) == (str(job.id), "crashed", 1)
    assert dead["error"]["message"].startswith("The worker stopped renewing its lease")


def test_a_lost_job_with_a_cancel_request_is_cancelled(queue: Queue, transport: Transport, age: Age) -> None:
    """The job is cancelled and not failed."""
    job = running_job(queue, max_attempts=1)
    queue.cancel(job.id)
    age(job, 61)
    answer = transport.call("recover_leases", {})
    assert (answer["changed"], answer["cancelled"], answer["failed"]) == (1, 1, 0)
    assert look(queue, job)["status"] == "cancelled"
    assert dead_letters(queue) == []


def test_a_prefetched_job_that_never_started_is_not_charged(queue: Queue, age: Age) -> None:
    """After a crash, the started job is charged an attempt, and jobs that only waited are not."""
    worker = a_worker()
    register(queue, worker)
    first, second = add(queue, max_attempts=1), add(queue, max_attempts=1)
    take(queue, worker=worker, prefetch=True)
    queue.start(worker, [first])
    for job_id in (first, second):
        age(job_id, 61)
    assert queue.recover() == Recovered(requeued=1, failed=1)
    assert look(queue, first)["status"] == "failed"
    row = look(queue, second)
    assert (row["status"], row["attempts"], row["error"]) == ("queued", 0, None)
    assert [(a["attempt"], a["outcome"]) for a in row["superseded_attempts"]] == [(1, "released")]


def test_the_record_of_started_jobs_replaces_the_one_before(queue: Queue, age: Age) -> None:
    """Only the latest record counts: the first job ended long ago, the second one crashed."""
    worker = a_worker()
    register(queue, worker)
    add(queue)
    add(queue)
    first, second = take(queue, worker=worker, prefetch=True)
    queue.start(worker, [first.id])
    settle(queue, first)
    queue.start(worker, [second.id])
    age(second, 61)
    queue.recover()
    assert look(queue, second)["attempts"] == 1


def test_a_prefetched_job_of_an_unknown_worker_is_charged(queue: Queue, age: Age) -> None:
    """It may have started, so the attempt counts."""
    add(queue)
    job = take_one(queue, prefetch=True)
    age(job, 61)
    queue.recover()
    assert look(queue, job)["attempts"] == 1


def test_recovery_continues_until_nothing_is_left(queue: Queue, transport: Transport, owner: Owner) -> None:
    """One call recovers a batch and returns whether there may be more; the client repeats it."""
    _expired_jobs(queue, owner, 5)
    answer = transport.call("recover_leases", {"batch_size": 2})
    assert (answer["changed"], answer["requeued"], answer["failed"], answer["more"]) == (2, 2, 0, True)
    assert queue.recover(batch_size=2) == Recovered(requeued=3, failed=0)
    assert transport.call("recover_leases", {"batch_size": 2})["more"] is False


@pytest.mark.parametrize("batch_size", [0, -1, 10_001, None])
def test_an_invalid_batch_size_is_rejected(transport: Transport, batch_size: int | None) -> None:
    """A batch size of zero would be repeated forever."""
    with pytest.raises(InvalidArgument, match="batch_size must be 1 to 10000"):
        transport.call("recover_leases", {"batch_size": batch_size})


def test_recoveries_may_run_concurrently(queue: Queue, owner: Owner) -> None:
    """Four recoveries share 100 jobs: each job is recovered once."""
    job_ids = _expired_jobs(queue, owner, 100)
    together = Barrier(4)

    def recover() -> Recovered:
        together.wait()
        return queue.recover(batch_size=7)

    with ThreadPoolExecutor(4) as pool:
        recovered = [future.result() for future in [pool.submit(recover) for _ in range(4)]]
    assert sum(one.requeued for one in recovered) == 100
    assert {job.id for job in take(queue, 200)} == set(job_ids)
    lost = owner.execute("select count(*), count(distinct job_id) from public.job_attempts").fetchone()
    assert lost == (100, 100)


def test_a_worker_requeues_all_jobs_it_holds(queue: Queue) -> None:
    """Only its own jobs are requeued, their attempts not counted; a second call finds nothing."""
    mine, others = a_worker(), a_worker()
    for _ in range(3):
        add(queue)
    first, second = take(queue, 2, worker=mine)
    [theirs] = take(queue, worker=others)
    assert queue.requeue_instance(mine) == 2
    assert queue.requeue_instance(mine) == 0
    assert [look(queue, job)["attempts"] for job in (first, second)] == [0, 0]
    assert look(queue, theirs)["status"] == "running"


def _expired_jobs(queue: Queue, owner: Owner, count: int) -> list[UUID]:
    for _ in range(count):
        add(queue)
    jobs: list[Job] = take(queue, count)
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 second'")
    return [job.id for job in jobs]
