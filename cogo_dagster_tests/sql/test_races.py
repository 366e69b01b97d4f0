"""Two sessions at one job: one waits or skips it, both results are correct, and there is no deadlock."""

from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, Json
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import add, look, running_job, settle, take
from cogo_dagster_tests.sql.sessions import Session, at_once

ROUNDS = 8


def test_two_claims_take_different_jobs_without_waiting(queue: Queue, first: Session, second: Session) -> None:
    """The second claim skips the rows that the first has locked."""
    added = [str(add(queue)) for _ in range(4)]
    of_first = first.call("claim_jobs", **_claim(2))
    of_second = second.call_and_commit("claim_jobs", **_claim(4))
    first.commit()
    assert [job["id"] for job in of_first["jobs"]] == added[:2]
    assert [job["id"] for job in of_second["jobs"]] == added[2:]


def test_a_claim_repeated_while_the_first_still_runs_waits_for_it(
    queue: Queue, first: Session, second: Session
) -> None:
    """A claim that is repeated after a lost connection must not claim other jobs."""
    for _ in range(4):
        add(queue)
    claim = _claim(2)
    answer = first.call("claim_jobs", **claim)
    repeated = second.call_and_wait("claim_jobs", **claim)
    first.commit()
    assert repeated.result() == answer
    assert queue.stats().document["ready"] == 2


def test_an_enqueue_waits_for_the_other_with_its_key(queue: Queue, first: Session, second: Session) -> None:
    """The other session commits: its job is returned."""
    jobs = [{"type": "browser", "idempotency_key": "once"}]
    created = first.call("enqueue_jobs", jobs=jobs)["jobs"][0]
    found = second.call_and_wait("enqueue_jobs", jobs=jobs)
    first.commit()
    assert found.result()["jobs"] == [{"job_id": created["job_id"], "created": False}]


def test_an_enqueue_takes_over_from_one_that_rolled_back(queue: Queue, first: Session, second: Session) -> None:
    """The other session rolls back: this one creates the job."""
    jobs = [{"type": "browser", "idempotency_key": "once"}]
    first.call("enqueue_jobs", jobs=jobs)
    made = second.call_and_wait("enqueue_jobs", jobs=jobs)
    first.rollback()
    [job] = made.result()["jobs"]
    assert job["created"] is True
    assert [row.document["id"] for row in queue.list_jobs()] == [job["job_id"]]


def test_a_settlement_during_a_recovery_is_rejected(queue: Queue, age: Age, first: Session, second: Session) -> None:
    """The settlement waits for the recovery and reports the lease as lost."""
    job = _expired(queue, age)
    first.call("recover_leases")
    settled = second.call_and_wait("settle_jobs", settlements=[_success(job)])
    first.commit()
    assert settled.result()["statuses"] == ["lease_lost"]
    assert look(queue, job)["status"] == "queued"


def test_a_recovery_skips_a_job_that_is_being_settled(queue: Queue, age: Age, first: Session, second: Session) -> None:
    """The recovery does not wait and changes nothing."""
    job = _expired(queue, age)
    first.call("settle_jobs", settlements=[_success(job)])
    assert second.call_and_commit("recover_leases")["changed"] == 0
    first.commit()
    assert look(queue, job)["status"] == "succeeded"


def test_a_recovery_skips_a_lease_that_is_being_renewed(
    queue: Queue, age: Age, first: Session, second: Session
) -> None:
    """The lease of a slow worker is kept, during the renewal and after it."""
    job = _expired(queue, age)
    first.call("renew_leases", leases=[_lease(job)])
    assert second.call_and_commit("recover_leases")["changed"] == 0
    first.commit()
    assert second.call_and_commit("recover_leases")["changed"] == 0


def test_a_second_recovery_does_not_wait_for_the_first(queue: Queue, age: Age, first: Session, second: Session) -> None:
    """It recovers no job twice."""
    _expired(queue, age)
    assert first.call("recover_leases")["changed"] == 1
    assert second.call_and_commit("recover_leases")["changed"] == 0
    first.commit()


def test_a_cancel_during_a_success_is_rejected(queue: Queue, first: Session, second: Session) -> None:
    """The cancel waits for the settlement, which wins."""
    job = running_job(queue)
    first.call("settle_jobs", settlements=[_success(job)])
    cancelled = second.call_and_wait("cancel_job", job_id=str(job.id))
    first.commit()
    with pytest.raises(psycopg.Error, match="has succeeded already"):
        cancelled.result()


def test_a_failure_during_a_cancel_is_cancelled(queue: Queue, first: Session, second: Session) -> None:
    """The request was first, so the job is not retried."""
    job = running_job(queue)
    first.call("cancel_job", job_id=str(job.id))
    failed = second.call_and_wait("settle_jobs", settlements=[{**_success(job), "outcome": "failed"}])
    first.commit()
    assert failed.result() == {"statuses": ["ok"], "job_statuses": ["cancelled"]}


def test_a_job_being_cancelled_is_not_claimed(queue: Queue, first: Session, second: Session) -> None:
    """The claim skips it."""
    job_id = add(queue)
    first.call("cancel_job", job_id=str(job_id))
    assert second.call_and_commit("claim_jobs", **_claim(1)) == {"jobs": []}
    first.commit()


def test_a_cancel_during_a_claim_requests_it_from_the_new_worker(queue: Queue, first: Session, second: Session) -> None:
    """The job was claimed while the cancel waited."""
    job_id = add(queue)
    first.call("claim_jobs", **_claim(1))
    cancelled = second.call_and_wait("cancel_job", job_id=str(job_id))
    first.commit()
    assert cancelled.result() == {"job_id": str(job_id), "status": "running", "cancel_requested": True}


def test_a_file_finished_during_a_recovery_is_rejected(queue: Queue, age: Age, first: Session, second: Session) -> None:
    """finish_artifacts waits for the recovery, so that no ready file belongs to a lost attempt."""
    job, artifact_id = _with_artifact(queue, age)
    first.call("recover_leases")
    finished = second.call_and_wait("finish_artifacts", **_finish(job, artifact_id))
    first.commit()
    with pytest.raises(psycopg.Error, match="artifacts are not accepted"):
        finished.result()


def test_a_recovery_skips_a_job_whose_file_is_being_finished(
    queue: Queue, age: Age, first: Session, second: Session
) -> None:
    """The next recovery requeues the job and orphans the file."""
    job, artifact_id = _with_artifact(queue, age)
    first.call("finish_artifacts", **_finish(job, artifact_id))
    assert second.call_and_commit("recover_leases")["changed"] == 0
    first.commit()
    assert second.call_and_commit("recover_leases")["changed"] == 1
    assert [row.document["status"] for row in queue.list_artifacts()] == ["orphaned"]


def test_a_file_created_during_a_recovery_is_not_left_ready(
    queue: Queue, owner: Owner, age: Age, first: Session, second: Session
) -> None:
    """A file that is created and finished while a recovery runs is either rejected or orphaned."""
    slow, job = _expired(queue, age), _expired(queue, age)
    _stop_updates_of(owner, slow)
    owner.execute("select pg_advisory_lock(42)")
    recovered = first.call_and_wait("recover_leases")
    second.call_and_commit("create_artifacts", **_lease(job), artifacts=[_FILE])
    [artifact] = queue.list_artifacts()
    finished = second.begin("finish_artifacts", **_finish(job, artifact.document["id"]))
    owner.execute("select pg_advisory_unlock(42)")
    assert recovered.result()["changed"] == 2
    assert isinstance(finished.exception() or psycopg.Error(), psycopg.Error)
    assert [row.document["status"] for row in queue.list_artifacts()] == ["orphaned"]


def test_a_purge_checks_again_before_it_deletes(queue: Queue, owner: Owner, age: Age, first: Session) -> None:
    """A job that is requeued, or ends again, between the selection and the lock is not deleted."""
    revived, renewed, old = (running_job(queue) for _ in range(3))
    for job in (revived, renewed, old):
        settle(queue, job)
        age(job, 86_400 * 60)
    with owner.transaction():
        # Selecting needs a weaker lock of the table than locking rows: the call waits between the two.
        owner.execute("lock table public.jobs in exclusive mode")
        purged = first.call_and_wait("purge_jobs", dry_run=False)
        owner.execute("update public.jobs set status = 'queued', finished_at = null where id = %s", (revived.id,))
        owner.execute("update public.jobs set finished_at = now() where id = %s", (renewed.id,))
    assert (purged.result()["changed"], purged.result()["skipped"]) == (1, 2)
    assert {row.document["id"] for row in queue.list_jobs()} == {str(revived.id), str(renewed.id)}


def test_settling_and_renewing_the_same_jobs_does_not_deadlock(queue: Queue, first: Session, second: Session) -> None:
    """In opposite orders, repeatedly: every job is settled, and no renewal fails."""
    for _ in range(ROUNDS):
        jobs = _many(queue)
        settlements, leases = [_success(job) for job in jobs], [_lease(job) for job in reversed(jobs)]
        settled, renewed = at_once(
            lambda: first.call_and_commit("settle_jobs", settlements=settlements),  # noqa: B023
            lambda: second.call_and_commit("renew_leases", leases=leases),  # noqa: B023
        )
        assert set(settled["statuses"]) == {"ok"}
        assert set(renewed["statuses"]) <= {"ok", "lease_lost"}


def test_settling_the_same_jobs_twice_does_not_deadlock(
    queue: Queue, owner: Owner, first: Session, second: Session
) -> None:
    """Two calls settle the same jobs in opposite orders, as at a shutdown: both succeed."""
    jobs = _many(queue)
    in_order, reverse = [_success(job) for job in jobs], [_success(job) for job in reversed(jobs)]
    with owner.transaction():
        owner.execute("select from public.jobs where id = %s for update", (jobs[len(jobs) // 2].id,))
        settled = first.call_and_wait("settle_jobs", settlements=in_order)
        repeated = second.call_and_wait("settle_jobs", settlements=reverse)
    assert set(settled.result()["statuses"]) == set(repeated.result()["statuses"]) == {"ok"}


def test_settling_and_recovering_the_same_jobs_is_consistent(
    queue: Queue, owner: Owner, first: Session, second: Session
) -> None:
    """Each job either succeeded or was requeued, as the status of its settlement says."""
    for _ in range(ROUNDS):
        jobs = _many(queue)
        owner.execute("update public.jobs set lease_expires_at = now() - interval '1 s' where status = 'running'")
        settlements = [_success(job) for job in jobs]
        settled, recovered = at_once(
            lambda: first.call_and_commit("settle_jobs", settlements=settlements),  # noqa: B023
            lambda: second.call_and_commit("recover_leases"),
        )
        statuses = [row.document["status"] for row in queue.get_jobs([job.id for job in jobs])]
        assert [status == "succeeded" for status in statuses] == [word == "ok" for word in settled["statuses"]]
        assert recovered["requeued"] == statuses.count("queued")
        owner.execute("delete from public.jobs")


_FILE: dict[str, Json] = {
    "name": "a",
    "content_type": "text/plain",
    "size_bytes": 1,
    "sha256": "a" * 64,
    "extension": "txt",
}


def _stop_updates_of(owner: Owner, job: Job) -> None:
    """Make statements that change this job wait for the advisory lock 42."""
    owner.execute(
        "create function public.stop() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(42); return new; end'"
    )
    owner.execute(
        "create trigger stop before update on public.jobs for each row"
        f" when (new.id = '{job.id}') execute function public.stop()".encode()
    )


def _claim(max_jobs: int) -> dict[str, Json]:
    return {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": max_jobs}],
        "worker_id": "worker",
    }


def _many(queue: Queue) -> list[Job]:
    for _ in range(30):
        add(queue)
    return take(queue)


def _expired(queue: Queue, age: Age) -> Job:
    job = running_job(queue)
    age(job, 3600)
    return job


def _lease(job: Job) -> dict[str, Json]:
    return {"job_id": str(job.id), "lease_token": str(job.lease_token)}


def _success(job: Job) -> dict[str, Json]:
    return {**_lease(job), "outcome": "succeeded"}


def _with_artifact(queue: Queue, age: Age) -> tuple[Job, str]:
    job = _expired(queue, age)
    [row] = queue.create_artifacts(job, [_FILE])
    return job, str(row.artifact_id)


def _finish(job: Job, artifact_id: str) -> dict[str, Json]:
    return {**_lease(job), "artifact_ids": [artifact_id]}
