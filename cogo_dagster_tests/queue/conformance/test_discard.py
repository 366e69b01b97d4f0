"""Discard: a dead-lettered job is closed without a replay, with a reason, and can be opened again."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.bulk import Operation, Totals, perform, perform_items, preview
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, InvalidTransition, JobNotFound
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, dead_letters, look, running_job, settle, take_one

DISCARD = Operation("discard_dlq", {"reason": "the page was removed"})


def test_a_discarded_job_leaves_the_queue_of_open_ones(queue: Queue) -> None:
    """It stays failed and is listed with its reason, but not among the open ones."""
    job = failed_job(queue)
    assert _discard(queue).changed == 1
    assert dead_letters(queue) == []
    assert queue.list_incidents() == []
    assert queue.stats().dlq_open == 0
    [row] = queue.list_dlq(open_only=False)
    assert (row.job_id, row.discard_reason) == (job, "the page was removed")
    assert row.discarded_at == row.closed_at
    assert look(queue, job)["status"] == "failed"


def test_a_discard_is_limited_to_its_filters(queue: Queue) -> None:
    """Type, cause and named jobs."""
    page = failed_job(queue)
    failed_job(queue, "gate")
    timed_out = running_job(queue, max_attempts=1)
    settle(queue, timed_out, Outcome.FAILED, error=BROKEN)
    [cause] = [one.fingerprint for one in queue.list_dlq() if one.job_id == timed_out.id]
    assert _discard(queue, type_prefix="gate").changed == 1
    assert _discard(queue, fingerprint=cause).changed == 1
    assert [one["job_id"] for one in dead_letters(queue)] == [str(page)]
    assert _discard(queue, job_ids=[str(page)]).changed == 1


def test_a_dry_run_lists_the_jobs_and_needs_no_reason(queue: Queue) -> None:
    """Oldest failure first; nothing is closed."""
    jobs = [str(failed_job(queue)) for _ in range(3)]
    found = preview(queue, Operation("discard_dlq"))
    assert [item["id"] for item in found.items] == jobs
    assert len(dead_letters(queue)) == 3


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 501])
def test_a_discard_needs_a_reason(queue: Queue, reason: str | None) -> None:
    """Later readers must find out why."""
    failed_job(queue)
    with pytest.raises(InvalidArgument):
        perform(queue, Operation("discard_dlq", {"reason": reason}), "me")
    assert len(dead_letters(queue)) == 1


def test_an_undo_opens_the_jobs_of_one_discard(queue: Queue) -> None:
    """Those of another discard stay closed, and a second undo finds nothing."""
    first = failed_job(queue)
    done = _discard(queue)
    failed_job(queue)
    _discard(queue)
    assert _undo(queue, done).changed == 1
    assert [one["job_id"] for one in dead_letters(queue)] == [str(first)]
    assert _undo(queue, done).changed == 0
    assert [one.operation for one in queue.list_operations()] == [
        "undo_discard", "undo_discard", "discard_dlq", "discard_dlq",
    ]  # fmt: skip


def test_an_undo_leaves_jobs_that_were_retried_since(queue: Queue) -> None:
    """A discarded job can be retried by its ID; the undo of the discard does not open it."""
    job = failed_job(queue)
    done = _discard(queue)
    assert perform(queue, Operation("retry_failed"), "me").changed == 0
    assert perform(queue, Operation("retry_failed", {"job_ids": [str(job)]}), "me").changed == 1
    assert _undo(queue, done).changed == 0
    settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    [row] = queue.list_dlq()
    assert (row.job_id, row.discarded_at, row.discard_reason) == (job, None, None)


def test_a_job_that_is_closed_cannot_be_named(queue: Queue) -> None:
    """Replayed, retried, discarded or unknown jobs are rejected, and nothing changes."""
    discarded, replayed = failed_job(queue), failed_job(queue)
    _discard(queue, job_ids=[str(discarded)])
    perform(queue, Operation("replay_dlq", {"job_ids": [str(replayed)]}), "me")
    for job in (discarded, replayed):
        with pytest.raises(InvalidTransition, match="nothing was discarded"):
            _discard(queue, job_ids=[str(job)])
    with pytest.raises(InvalidTransition, match="was discarded: nothing was replayed"):
        perform(queue, Operation("replay_dlq", {"job_ids": [str(discarded)]}), "me")
    with pytest.raises(JobNotFound):
        _discard(queue, job_ids=[str(uuid4())])


def test_an_undo_names_a_discard(queue: Queue) -> None:
    """Another operation cannot be undone."""
    failed_job(queue)
    other = perform(queue, Operation("replay_dlq"), "me")
    for operation_id in (other.action_id, str(uuid4())):
        with pytest.raises(JobNotFound):
            perform(queue, Operation("undo_discard", {"discard_id": operation_id}), "me")


def test_a_plan_discards_its_rows_only(queue: Queue) -> None:
    """A row that changed since the dry run is skipped."""
    failed_job(queue)
    changed = failed_job(queue)
    planned = preview(queue, DISCARD).items
    perform(queue, Operation("retry_failed", {"job_ids": [str(changed)]}), "me")
    settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    done = perform_items(queue, DISCARD, planned, "me")
    assert (done.changed, done.skipped) == (1, 1)
    assert [one["job_id"] for one in dead_letters(queue)] == [str(changed)]


def test_a_repeated_batch_is_performed_once(queue: Queue, transport: Transport) -> None:
    """The reply was lost: the second call returns the same result."""
    failed_job(queue)
    arguments: Json = {"reason": "gone", "dry_run": False, "action": {"id": str(uuid4()), "batch": 0, "actor": "me"}}
    first = transport.call("discard_dlq", arguments)
    assert first["changed"] == 1
    assert transport.call("discard_dlq", arguments) == first


def test_many_jobs_are_discarded_in_batches(queue: Queue, transport: Transport) -> None:
    """All batches have the ID of the same discard."""
    for _ in range(5):
        failed_job(queue)
    action = str(uuid4())
    arguments: Json = {"reason": "gone", "dry_run": False, "batch_size": 2}
    for batch in range(3):
        transport.call("discard_dlq", arguments | {"action": {"id": action, "batch": batch, "actor": "me"}})
    assert dead_letters(queue) == []
    undo: Json = {"discard_id": action, "batch_size": 2}
    assert [transport.call("undo_discard", undo)["changed"] for _ in range(3)] == [2, 2, 1]


def _discard(queue: Queue, **filters: Json) -> Totals:
    return perform(queue, Operation("discard_dlq", {**DISCARD.arguments, **filters}), "me")


def _undo(queue: Queue, done: Totals) -> Totals:
    return perform(queue, Operation("undo_discard", {"discard_id": done.action_id}), "me")
