"""Recover: jobs whose worker died come back, at the price of an attempt."""

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
    """The crash consumed its attempt, which is written down as lost."""
    job = running_job(queue)
    age(job, 61)
    assert queue.recover() == Recovered(requeued=1, failed=0)
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["lease_expires_at"]) == ("queued", 1, None)
    assert row["error"]["class"] == "lease_expired"
    assert [(a["attempt"], a["outcome"]) for a in row["superseded_attempts"]] == [(1, "lost")]
    assert take_one(queue).attempts == 2


def test_a_living_lease_is_left_alone(queue: Queue) -> None:
    """Only the clock of the database decides."""
    running_job(queue)
    assert queue.recover() == Recovered(0, 0)


def test_the_last_attempt_lost_goes_to_the_dlq(queue: Queue, age: Age) -> None:
    """A job that kills its worker each time does not run for ever."""
    job = running_job(queue, max_attempts=1)
    age(job, 61)
    assert queue.recover() == Recovered(requeued=0, failed=1)
    assert look(queue, job)["status"] == "failed"
    [dead] = dead_letters(queue)
    assert (dead["job_id"], dead["reason"], dead["attempts"]) == (str(job.id), "crashed", 1)
    assert dead["error"]["message"].startswith("The worker stopped renewing its lease")


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(queue: Queue, transport: Transport, age: Age) -> None:
    """Nobody is left to ask, so it is over; it has not failed."""
    job = running_job(queue, max_attempts=1)
    queue.cancel(job.id)
    age(job, 61)
    answer = transport.call("recover_leases", {})
    assert (answer["changed"], answer["cancelled"], answer["failed"]) == (1, 1, 0)
    assert look(queue, job)["status"] == "cancelled"
    assert dead_letters(queue) == []


def test_a_prefetched_job_that_never_started_gets_its_attempt_back(queue: Queue, age: Age) -> None:
    """The worker crashed on the job it had started; those that only waited in it are not charged."""
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
    """What runs now is what counts: the first job ended long ago, the second is the one that crashed."""
    worker = a_worker()
    register(queue, worker)
    add(queue), add(queue)
    first, second = take(queue, worker=worker, prefetch=True)
    queue.start(worker, [first.id])
    settle(queue, first)
    queue.start(worker, [second.id])
    age(second, 61)
    queue.recover()
    assert look(queue, second)["attempts"] == 1


def test_a_prefetched_job_of_an_unknown_worker_is_charged(queue: Queue, age: Age) -> None:
    """Nobody can say that it did not start, so it may have."""
    add(queue)
    job = take_one(queue, prefetch=True)
    age(job, 61)
    queue.recover()
    assert look(queue, job)["attempts"] == 1


def test_recovery_goes_on_until_nothing_is_left(queue: Queue, transport: Transport, owner: Owner) -> None:
    """One call takes a batch and says whether there may be more; the client repeats it."""
    _expired_jobs(queue, owner, 5)
    answer = transport.call("recover_leases", {"batch_size": 2})
    assert (answer["changed"], answer["requeued"], answer["failed"], answer["more"]) == (2, 2, 0, True)
    assert queue.recover(batch_size=2) == Recovered(requeued=3, failed=0)
    assert transport.call("recover_leases", {"batch_size": 2})["more"] is False


@pytest.mark.parametrize("batch_size", [0, -1, 10_001, None])
def test_a_wrong_batch_size_is_refused(transport: Transport, batch_size: int | None) -> None:
    """A batch of none would be repeated for ever."""
    with pytest.raises(InvalidArgument, match="batch_size must be 1 to 10000"):
        transport.call("recover_leases", {"batch_size": batch_size})


def test_several_may_recover_at_once(queue: Queue, owner: Owner) -> None:
    """Four recoverers share 100 jobs: each job comes back once."""
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


def test_a_worker_start_gives_back_all_it_holds(queue: Queue) -> None:
    """Only its own jobs, their attempts not consumed; a second call finds nothing."""
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
