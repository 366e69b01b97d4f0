"""Two operators at the same rows: one of them does it, both get a true answer, and nobody deadlocks."""

from uuid import UUID

from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add, dead_letters, look, running_job, settle, take_one
from cogo_dagster_tests.sql.sessions import Session, at_once

ROUNDS = 6
LETTERS = 20


def test_two_replays_of_one_letter_give_one_job(queue: Queue, first: Session, second: Session) -> None:
    """The second neither waits nor doubles it."""
    failed_job(queue)
    assert first.call("replay_dlq")["changed"] == 1
    assert second.call_and_commit("replay_dlq")["changed"] == 0
    first.commit()
    assert second.call_and_commit("replay_dlq")["matched"] == 0
    assert len(queue.list_jobs()) == 2


def test_two_replays_at_once_give_each_letter_one_job(
    queue: Queue, owner: Owner, first: Session, second: Session
) -> None:
    """Many letters, both sessions beginning together."""
    for _ in range(ROUNDS):
        for _ in range(LETTERS):
            failed_job(queue)
        answers = at_once(
            lambda: first.call_and_commit("replay_dlq"),
            lambda: second.call_and_commit("replay_dlq"),
        )
        assert sum(answer["changed"] for answer in answers) == LETTERS
        made = [item["job_id"] for answer in answers for item in answer["items"]]
        assert len(set(made)) == LETTERS
        assert len(queue.list_jobs(statuses=["queued"])) == LETTERS
        owner.execute("delete from public.jobs")


def test_a_letter_is_either_replayed_or_retried(queue: Queue, owner: Owner, first: Session, second: Session) -> None:
    """Whoever comes first; one failure leads to one more try."""
    for _ in range(ROUNDS):
        ids = [failed_job(queue) for _ in range(LETTERS)]
        replayed, retried = at_once(
            lambda: first.call_and_commit("replay_dlq"),
            lambda: second.call_and_commit("retry_failed", dry_run=False),
        )
        assert replayed["changed"] + retried["changed"] <= LETTERS
        rows = queue.get_jobs(ids)
        for row in rows:
            assert (row.document["status"] == "queued") + (row.document["replayed_job_id"] is not None) <= 1
        first.call_and_commit("replay_dlq")
        assert dead_letters(queue) == []
        assert len(queue.list_jobs(statuses=["queued"])) == LETTERS
        owner.execute("delete from public.jobs; delete from public.jobs_dlq")


def test_a_retry_that_meets_a_replay_waits_and_leaves_the_job_alone(
    queue: Queue, first: Session, second: Session
) -> None:
    """The replay is not committed yet when the retry looks."""
    job_id = failed_job(queue)
    first.call("replay_dlq")
    retried = second.call_and_wait("retry_failed", dry_run=False)
    first.commit()
    assert retried.result()["changed"] == 0
    assert look(queue, job_id)["status"] == "failed"


def test_two_purges_delete_each_job_once(queue: Queue, first: Session, second: Session) -> None:
    """And neither waits for the other."""
    ids: list[UUID] = []
    for _ in range(LETTERS):
        job = running_job(queue)
        settle(queue, job)
        ids.append(job.id)
    purge = {"older_than_days": 0, "dry_run": False}
    answers = at_once(
        lambda: first.call_and_commit("purge_jobs", **purge), lambda: second.call_and_commit("purge_jobs", **purge)
    )
    assert sum(answer["changed"] for answer in answers) == LETTERS
    assert queue.get_jobs(ids) == []


def test_a_purge_keeps_no_worker_waiting(queue: Queue, first: Session) -> None:
    """Before it is committed others renew, settle, enqueue and claim as if it were not there."""
    for _ in range(LETTERS):
        settle(queue, running_job(queue))
    held = running_job(queue)
    assert first.call("purge_jobs", older_than_days=0, dry_run=False)["changed"] == LETTERS
    assert queue.renew([held], 60) == ["ok"]
    assert settle(queue, held).status == "ok"
    assert add(queue) == take_one(queue).id
    first.commit()


def test_a_repeated_batch_waits_for_the_first_and_answers_alike(queue: Queue, first: Session, second: Session) -> None:
    """The connection broke while the server works on: the repeat must not take other rows."""
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
