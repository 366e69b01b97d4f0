"""Two operators at the same rows: each row is changed once, both results are correct, and there is no deadlock."""

from uuid import UUID

from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add, dead_letters, look, running_job, settle, take_one
from cogo_dagster_tests.sql.sessions import Session, at_once

ROUNDS = 6
DEAD_LETTERED = 20


def test_two_replays_of_one_job_make_one_job(queue: Queue, first: Session, second: Session) -> None:
    """The second replay neither waits nor makes another job."""
    failed_job(queue)
    assert first.call("replay_dlq")["changed"] == 1
    assert second.call_and_commit("replay_dlq")["changed"] == 0
    first.commit()
    assert second.call_and_commit("replay_dlq")["matched"] == 0
    assert len(queue.list_jobs()) == 2


def test_a_key_that_is_taken_during_a_replay_leaves_the_job_open(queue: Queue, first: Session, second: Session) -> None:
    """Other work gets the key of the replay after the replay has selected its jobs."""
    job_id = failed_job(queue)
    [other] = first.call(
        "enqueue_jobs", jobs=[{"type": "browser", "payload": {"n": 1}, "idempotency_key": f"dlq:{job_id}"}]
    )["jobs"]
    replayed = second.call_and_wait("replay_dlq")
    first.commit()
    assert replayed.result()["changed"] == 0
    second.commit()
    [row] = dead_letters(queue)
    assert (row["job_id"], row["replayed_job_id"]) == (str(job_id), None)
    assert look(queue, UUID(other["job_id"]))["payload"] == {"n": 1}


def test_two_concurrent_replays_make_one_job_each(queue: Queue, owner: Owner, first: Session, second: Session) -> None:
    """Two sessions replay many dead-lettered jobs concurrently."""
    for _ in range(ROUNDS):
        for _ in range(DEAD_LETTERED):
            failed_job(queue)
        results = at_once(
            lambda: first.call_and_commit("replay_dlq"),
            lambda: second.call_and_commit("replay_dlq"),
        )
        assert sum(answer["changed"] for answer in results) == DEAD_LETTERED
        made = [item["job_id"] for answer in results for item in answer["items"]]
        assert len(set(made)) == DEAD_LETTERED
        assert len(queue.list_jobs(statuses=["queued"])) == DEAD_LETTERED
        owner.execute("delete from public.jobs")


def test_a_dead_lettered_job_is_either_replayed_or_retried(
    queue: Queue, owner: Owner, first: Session, second: Session
) -> None:
    """With a concurrent replay and retry, one failure leads to one more job or attempt."""
    for _ in range(ROUNDS):
        ids = [failed_job(queue) for _ in range(DEAD_LETTERED)]
        replayed, retried = at_once(
            lambda: first.call_and_commit("replay_dlq"),
            lambda: second.call_and_commit("retry_failed", dry_run=False),
        )
        assert replayed["changed"] + retried["changed"] <= DEAD_LETTERED
        rows = queue.get_jobs(ids)
        for row in rows:
            assert (row.document["status"] == "queued") + (row.document["replayed_job_id"] is not None) <= 1
        first.call_and_commit("replay_dlq")
        assert dead_letters(queue) == []
        assert len(queue.list_jobs(statuses=["queued"])) == DEAD_LETTERED
        owner.execute("delete from public.jobs; delete from public.jobs_dlq")


def test_a_retry_waits_for_a_replay_and_skips_the_job(queue: Queue, first: Session, second: Session) -> None:
    """The replay is not committed when the retry starts."""
    job_id = failed_job(queue)
    first.call("replay_dlq")
    retried = second.call_and_wait("retry_failed", dry_run=False)
    first.commit()
    assert retried.result()["changed"] == 0
    assert look(queue, job_id)["status"] == "failed"


def test_two_purges_delete_each_job_once(queue: Queue, first: Session, second: Session) -> None:
    """Two concurrent purges share the jobs."""
    ids: list[UUID] = []
    for _ in range(DEAD_LETTERED):
        job = running_job(queue)
        settle(queue, job)
        ids.append(job.id)
    purge = {"older_than_days": 0, "dry_run": False}
    results = at_once(
        lambda: first.call_and_commit("purge_jobs", **purge), lambda: second.call_and_commit("purge_jobs", **purge)
    )
    assert sum(answer["changed"] for answer in results) == DEAD_LETTERED
    assert queue.get_jobs(ids) == []


def test_a_purge_does_not_block_workers(queue: Queue, first: Session) -> None:
    """Other sessions renew, settle, enqueue and claim before it is committed."""
    for _ in range(DEAD_LETTERED):
        settle(queue, running_job(queue))
    held = running_job(queue)
    assert first.call("purge_jobs", older_than_days=0, dry_run=False)["changed"] == DEAD_LETTERED
    assert queue.renew([held], 60) == ["ok"]
    assert settle(queue, held).status == "ok"
    assert add(queue) == take_one(queue).id
    first.commit()


def test_a_repeated_batch_waits_and_returns_the_same_result(queue: Queue, first: Session, second: Session) -> None:
    """A batch that is repeated after a lost connection must not change other rows."""
    for _ in range(4):
        failed_job(queue)
    call = {
        "dry_run": False,
        "batch_size": 2,
        "action": {"id": "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bb", "batch": 0, "actor": "me"},
    }
    answer = first.call("retry_failed", **call)
    repeated = second.call_and_wait("retry_failed", **call)
    first.commit()
    assert repeated.result() == answer
    assert len(dead_letters(queue)) == 2
