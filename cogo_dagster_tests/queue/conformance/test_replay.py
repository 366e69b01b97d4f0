"""Replay: a dead-lettered job is enqueued as a new job, once."""

from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.bulk import Operation, perform, perform_items, preview
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidTransition, JobNotFound
from cogo_dagster.queue.model import JobError, Json, NewJob, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import evaluate
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import (
    PERMANENT,
    a_worker,
    add,
    dead_letters,
    look,
    register,
    running_job,
    settle,
    take_one,
)

REPLAY = Operation("replay_dlq")
PURGE_FAILED = Operation("purge_jobs", {"statuses": ["failed", "succeeded"], "older_than_days": 0})


def test_a_replay_is_a_new_job_with_every_policy_of_the_old(queue: Queue) -> None:
    """The new job has all settings of the old one, and each references the other."""
    payload = {"url": "https://example.com"}
    old = failed_job(queue, payload=payload, priority=2, max_attempts=7, timeout_seconds=9.5)
    [made] = perform(queue, REPLAY, "me").items
    new = look(queue, UUID(made["job_id"]))
    assert (new["status"], new["attempts"], new["idempotency_key"]) == ("queued", 0, f"dlq:{old}")
    assert (new["type"], new["payload"], new["executor_id"]) == ("browser", payload, None)
    assert (new["priority"], new["max_attempts"], new["timeout_seconds"]) == (2, 7, 9.5)
    assert new["replay_of"] == str(old)
    assert look(queue, old)["replayed_job_id"] == new["id"]
    assert look(queue, old)["status"] == "failed"


def test_an_addressed_job_keeps_its_address(queue: Queue) -> None:
    """The new job has the same executor ID."""
    worker = a_worker(executor_id="mac")
    queue.enqueue([NewJob("browser", executor_id="mac")])
    settle(queue, take_one(queue, worker=worker), Outcome.FAILED, error=PERMANENT)
    [made] = perform(queue, REPLAY, "me").items
    assert look(queue, UUID(made["job_id"]))["executor_id"] == "mac"


def test_a_dead_lettered_job_is_replayed_once(queue: Queue) -> None:
    """A second replay finds nothing."""
    failed_job(queue)
    assert perform(queue, REPLAY, "me").changed == 1
    assert perform(queue, REPLAY, "me").changed == 0
    assert len(queue.list_jobs()) == 2


def test_a_failed_replay_is_dead_lettered_and_can_be_replayed(queue: Queue) -> None:
    """Each replay increases the generation."""
    failed_job(queue)
    for replays in range(3):
        [row] = dead_letters(queue)
        assert row["replays"] == replays
        perform(queue, REPLAY, "me")
        settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    assert len(queue.list_jobs()) == 4
    assert [row.document["replays"] for row in queue.list_dlq(open_only=False)] == [3, 2, 1, 0]


def test_purging_in_between_changes_nothing(queue: Queue) -> None:
    """Neither purging the failed job before its replay nor the new job after it matters."""
    old = failed_job(queue)
    assert perform(queue, PURGE_FAILED, "me").changed == 1
    [made] = perform(queue, REPLAY, "me").items
    assert look(queue, UUID(made["job_id"]))["idempotency_key"] == f"dlq:{old}"
    settle(queue, take_one(queue))
    assert perform(queue, PURGE_FAILED, "me").changed == 1
    assert perform(queue, REPLAY, "me").changed == 0
    with pytest.raises(InvalidTransition, match="was replayed already"):
        perform(queue, Operation("replay_dlq", {"job_ids": [str(old)]}), "me")


def test_an_existing_job_with_the_replay_key_is_the_replay(queue: Queue) -> None:
    """Older scripts enqueued it with the same key: it is found and not duplicated."""
    old = failed_job(queue)
    [made] = queue.enqueue([NewJob("browser", idempotency_key=f"dlq:{old}")])
    assert perform(queue, REPLAY, "me").items == [{"id": str(old), "job_id": str(made.job_id)}]
    assert len(queue.list_jobs()) == 2


def test_a_retried_job_is_not_replayed_and_a_replayed_job_not_retried(queue: Queue) -> None:
    """One failure leads to one more run, by either operation."""
    retried = failed_job(queue)
    perform(queue, Operation("retry_failed", {"job_ids": [str(retried)]}), "me")
    with pytest.raises(InvalidTransition, match="was retried since it failed"):
        perform(queue, Operation("replay_dlq", {"job_ids": [str(retried)]}), "me")
    assert perform(queue, REPLAY, "me").changed == 0

    settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    perform(queue, REPLAY, "me")
    assert preview(queue, Operation("retry_failed")).matched == 0
    assert perform(queue, Operation("retry_failed"), "me").changed == 0


def test_a_job_outside_the_dlq_is_rejected(queue: Queue) -> None:
    """All named jobs are replayed, or none."""
    good = failed_job(queue)
    with pytest.raises(JobNotFound, match="is not in the dead-letter queue"):
        perform(queue, Operation("replay_dlq", {"job_ids": [str(good), str(uuid4())]}), "me")
    assert len(dead_letters(queue)) == 1


def test_the_result_marks_jobs_that_failed_on_the_same_release(queue: Queue) -> None:
    """They may fail again, since the code has not changed."""
    worker = a_worker()
    register(queue, worker)  # of version 1.2.3
    queue.enqueue([NewJob("browser")])
    settle(queue, take_one(queue, worker=worker), Outcome.FAILED, error=PERMANENT)
    same = preview(queue, Operation("replay_dlq", {"code_version": "1.2.3"}))
    other = preview(queue, Operation("replay_dlq", {"code_version": "1.2.4"}))
    assert (same.counts["same_code_version"], other.counts["same_code_version"]) == (1, 0)
    assert [item["same_code_version"] for item in same.items] == [True]
    done = perform(queue, Operation("replay_dlq", {"code_version": "1.2.3"}), "me")
    assert done.counts["same_code_version"] == 1


def test_a_planned_job_that_changed_is_skipped(queue: Queue) -> None:
    """A plan applied twice, or after a replay, changes nothing more."""
    failed_job(queue)
    plan = preview(queue, REPLAY).items
    assert perform_items(queue, REPLAY, plan, "me").changed == 1
    repeated = perform_items(queue, REPLAY, plan, "me")
    assert (repeated.changed, repeated.skipped) == (0, 1)


def test_dead_lettered_jobs_are_grouped_by_fingerprint(queue: Queue, transport: Transport, owner: Owner) -> None:
    """IDs, numbers and quoted words do not change the fingerprint; class, family and host do."""
    messages = [
        "GET https://a.example/1 took 30 s",
        "GET https://a.example/22?x=2 took 31 s",
        f"GET https://c.example took 5 s (job {uuid4()})",
    ]
    for message in messages:
        _fail_with(queue, JobError("timeout", message))
    _fail_with(queue, JobError("dns", messages[0]))
    _fail_with(queue, JobError("timeout", messages[0]), "gate")
    incidents = queue.list_incidents()
    assert [(one.document["count"], one.document["class"], one.document["type"]) for one in incidents] == [
        (2, "timeout", "browser"),
        (1, "timeout", "gate"),
        (1, "dns", "browser"),
        (1, "timeout", "browser"),
    ]
    evaluate(transport)
    owner.execute("update public.alerts set first_seen_at = first_seen_at - interval '1 day'")
    kept = queue.list_incidents()
    assert all(
        one.document["first_failed_at"] < before.document["first_failed_at"]
        for one, before in zip(kept, incidents, strict=True)
    )
    fingerprint = incidents[0].document["fingerprint"]
    assert len(queue.list_dlq(fingerprint=fingerprint)) == 2
    assert perform(queue, Operation("replay_dlq", {"fingerprint": fingerprint}), "me").changed == 2


def test_pages_of_the_list_neither_repeat_nor_omit_rows(queue: Queue) -> None:
    """This holds for jobs that failed at the same time too."""
    jobs = {str(failed_job(queue)) for _ in range(5)}
    first = queue.list_dlq(max_jobs=2)
    second = queue.list_dlq(max_jobs=2, before=first[-1].cursor("failed_at", "job_id"))
    third = queue.list_dlq(max_jobs=2, before=second[-1].cursor("failed_at", "job_id"))
    assert {row.document["job_id"] for page in (first, second, third) for row in page} == jobs


def _fail_with(queue: Queue, error: JobError, type: str = "browser") -> None:
    job = running_job(queue, type, max_attempts=1)
    settle(queue, job, Outcome.FAILED, error=error)


@pytest.mark.parametrize("other", [{"payload": {"url": "https://other.example"}}, {"executor_id": "mac"}])
def test_a_job_whose_key_is_taken_by_other_work_stays_open(queue: Queue, other: dict[str, Json]) -> None:
    """Its payload was not enqueued by the other job, so it is not closed. The others are replayed."""
    held, free = failed_job(queue), failed_job(queue)
    holder = add(queue, idempotency_key=f"dlq:{held}", **other)
    answer = queue.operate("replay_dlq", {})
    assert [item["id"] for item in answer["items"]] == [str(free)]
    assert answer["skipped_items"] == [{"id": str(held), "reason": "key_taken", "held_by": str(holder)}]
    assert (answer["matched"], answer["changed"], answer["skipped"]) == (2, 1, 1)
    assert [row["job_id"] for row in dead_letters(queue)] == [str(held)]
    assert look(queue, held)["replayed_job_id"] is None


def test_a_named_job_whose_key_is_taken_by_other_work_is_skipped(queue: Queue) -> None:
    """This holds by ID and by plan; a dry run reports it too."""
    held = failed_job(queue)
    holder = add(queue, payload={"other": True}, idempotency_key=f"dlq:{held}")
    passed_over = [{"id": str(held), "reason": "key_taken", "held_by": str(holder)}]
    for named in ({"job_ids": [str(held)]}, {"items": [{"id": str(held)}]}):
        for dry_run in (True, False):
            answer = queue.operate("replay_dlq", {**named, "dry_run": dry_run})
            assert (answer["changed"], answer["items"], answer["skipped_items"]) == (0, [], passed_over)
    assert (answer["matched"], answer["skipped"]) == (1, 1)
    assert len(dead_letters(queue)) == 1


def test_a_job_is_replayed_once_its_key_is_free(queue: Queue, owner: Owner) -> None:
    """The job stayed open until then."""
    held = failed_job(queue, payload={"mine": True})
    holder = add(queue, payload={"other": True}, idempotency_key=f"dlq:{held}")
    assert perform(queue, REPLAY, "me").changed == 0
    owner.execute("delete from public.jobs where id = %s", (holder,))
    [made] = perform(queue, REPLAY, "me").items
    assert look(queue, UUID(made["job_id"]))["payload"] == {"mine": True}


def test_jobs_that_cannot_be_replayed_do_not_block_the_others(queue: Queue) -> None:
    """They may be the oldest and fill a batch: each is counted once."""
    held = [failed_job(queue) for _ in range(3)]
    free = {str(failed_job(queue)) for _ in range(4)}
    for job_id in held:
        add(queue, payload={"other": True}, idempotency_key=f"dlq:{job_id}")
    done = perform(queue, REPLAY, "me", limit=100)
    assert {item["id"] for item in done.items} == free
    assert (done.matched, done.changed, done.skipped) == (7, 4, 3)
    done = queue.operate("replay_dlq", {"batch_size": 2})
    assert (done["changed"], done["more"], len(done["skipped_items"])) == (0, False, 3)


def test_replays_of_one_call_run_in_the_order_of_the_failures(queue: Queue) -> None:
    """The order of their keys does not matter."""
    old = [failed_job(queue) for _ in range(6)]
    perform(queue, REPLAY, "me")
    claimed = [take_one(queue) for _ in old]
    assert [job.idempotency_key for job in claimed] == [f"dlq:{job_id}" for job_id in old]


def test_a_job_from_before_the_limits_is_replayed(queue: Queue, owner: Owner) -> None:
    """Values that an older release stored are brought into range and do not fail the batch."""
    old = failed_job(queue)
    owner.execute("update public.jobs_dlq set timeout_seconds = 'NaN', priority = 99, max_attempts = 0, payload = null")
    [made] = perform(queue, REPLAY, "me").items
    new = look(queue, UUID(made["job_id"]))
    assert (new["replay_of"], new["priority"], new["max_attempts"], new["payload"]) == (str(old), 9, 1, {})
    assert new["timeout_seconds"] == 86_400
