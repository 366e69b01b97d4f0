"""Bulk actions: what a search finds is previewed, frozen and changed in batches, under one entry of the log."""

from uuid import UUID

import pytest

from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.bulk_actions import Preview, plan, preview, run, skipped_jobs
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, InvalidTransition, JobNotFound
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import JobError, Json, Outcome
from cogo_dagster.queue.rows.bulk_actions import ActionName, BulkAction
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_query_jobs import find
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add, dead_letters, look, running_job, settle, take

TIMEOUT = JobError("timeout", "It did not load.", retryable=False)


def timed_out(queue: Queue) -> UUID:
    """Enqueue a job that timed out."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=TIMEOUT)
    return job.id


def look_for(queue: Queue, operation: ActionName, typed: str) -> Preview:
    """Preview an action."""
    return preview(queue, operation, JobSearch.parse(typed))


def planned(queue: Queue, operation: ActionName, typed: str, **arguments: Json) -> BulkAction:
    """Preview and plan an action."""
    found = look_for(queue, operation, typed)
    items = [item.document for item in found.items]
    return plan(queue, operation, items, "me", name="outage", query=typed, arguments=arguments, summary=found.summary)


def test_all_timeouts_are_retried_under_one_name(queue: Queue) -> None:
    """Other jobs stay as they are; the log has one entry with the name, the search and the numbers."""
    jobs, other = [timed_out(queue) for _ in range(3)], failed_job(queue)
    stored = planned(queue, "retry", "error:timeout finished:today..")
    assert (stored.state, stored.planned) == ("planned", 3)
    done = run(queue, stored.id, "me", limit=None)
    assert (done.state, done.changed, done.skipped, done.left) == ("finished", 3, 0, 0)
    assert {look(queue, job)["status"] for job in jobs} == {"queued"}
    assert look(queue, other)["status"] == "failed"
    [entry] = queue.list_operations()
    assert (entry.id, entry.operation, entry.matched, entry.changed) == (stored.id, "retry_failed", 3, 3)
    assert isinstance(entry.filter, dict)
    assert (entry.filter["name"], entry.filter["query"]) == ("outage", "error:timeout finished:today..")
    assert sorted(find(queue, f"action:{str(stored.id)[-8:]}")) == sorted(jobs)


def test_ineligible_jobs_are_counted_and_skipped(queue: Queue) -> None:
    """One that cannot be retried is no reason to reject the others."""
    job, replayed, waiting = timed_out(queue), timed_out(queue), add(queue, "gate")
    perform(queue, Operation("replay_dlq", {"job_ids": [str(replayed)]}), "me")
    found = look_for(queue, "retry", "since:1h")
    assert [item.id for item in found.items] == [job]
    assert found.ineligible == {"replayed": 1, "not_failed": 2}
    assert found.left_out.job_ids["replayed"] == [str(replayed)]
    assert found.found == 4
    assert found.counts("error_class") == [("timeout", 1)]
    assert look(queue, waiting)["status"] == "queued"


@pytest.mark.parametrize(
    ("operation", "arguments"), [("replay", {}), ("discard", {"reason": "gone"}), ("cancel", {}), ("retry", {})]
)
def test_every_operation_skips_what_changed_since(queue: Queue, operation: ActionName, arguments: Json) -> None:
    """The jobs were frozen by the plan: one that was changed since is skipped, one that came later is not touched."""
    make = add if operation == "cancel" else timed_out
    first, second = make(queue), make(queue)
    stored = planned(queue, operation, "type:browser", **arguments)
    later = make(queue)
    if operation == "cancel":
        queue.cancel(first)
    else:
        perform(queue, Operation("discard_dlq", {"job_ids": [str(first)], "reason": "x"}), "me")
        perform(queue, Operation("retry_failed", {"job_ids": [str(first)]}), "me")
    done = run(queue, stored.id, "me")
    assert (done.changed, done.skipped) == (1, 1)
    assert find(queue, f"action:{stored.id} is:skipped") == [first]
    assert skipped_jobs(queue, done).job_ids.popitem() == (
        {"cancel": "finished", "retry": "not_failed"}.get(operation, "retried"),
        [str(first)],
    )
    expected = {"replay": "failed", "discard": "failed", "cancel": "cancelled", "retry": "queued"}[operation]
    assert look(queue, second)["status"] == expected
    assert look(queue, later)["status"] == ("queued" if operation == "cancel" else "failed")
    if operation != "cancel":
        assert str(later) in {row["job_id"] for row in dead_letters(queue)}


def test_running_jobs_are_asked_to_stop(queue: Queue) -> None:
    """A renewal of the lease between the plan and the run does not count as a change."""
    job = running_job(queue)
    waiting = add(queue)
    stored = planned(queue, "cancel", "type:browser")
    queue.renew([job], 60)
    assert run(queue, stored.id, "me").changed == 2
    assert look(queue, job)["cancel_requested"]
    assert look(queue, waiting)["status"] == "cancelled"
    [entry] = queue.list_operations()
    assert (entry.operation, entry.changed) == ("cancel_jobs", 2)


def test_one_is_tried_first_and_the_rest_follows(queue: Queue) -> None:
    """The first run changes one job and stays open for the others; the log keeps one entry."""
    for _ in range(3):
        timed_out(queue)
    stored = planned(queue, "replay", "error:timeout")
    tried = run(queue, stored.id, "me", limit=1)
    assert (tried.state, tried.changed, tried.left) == ("running", 1, 2)
    assert len(take(queue)) == 1
    assert run(queue, stored.id, "me").changed == 3
    [entry] = queue.list_operations()
    assert entry.changed == 3


def test_a_stopped_action_continues_where_it_was(queue: Queue) -> None:
    """A batch of a stopped action does nothing, until it is continued."""
    for _ in range(2):
        timed_out(queue)
    stored = planned(queue, "retry", "error:timeout")
    run(queue, stored.id, "me", limit=1)
    assert queue.stop_action(stored.id).state == "stopped"
    assert queue.run_action(stored.id, "me").changed == 1
    assert run(queue, stored.id, "me").state == "finished"
    assert queue.run_action(stored.id, "me").changed == 2


def test_a_repeated_plan_adds_nothing(queue: Queue) -> None:
    """The request ID names the plan; after the start its jobs are fixed."""
    job = timed_out(queue)
    items, action_id = [{"id": str(job), "version": None}], new_request_id()
    for _ in range(2):
        stored = plan(queue, "retry", items, "me", action_id=action_id)
    assert stored.planned == 1
    run(queue, action_id, "me")
    with pytest.raises(InvalidTransition):
        plan(queue, "retry", items, "me", action_id=action_id)


def test_a_discard_by_search_is_undone_from_the_log(queue: Queue) -> None:
    """Its action is the discard."""
    timed_out(queue)
    stored = planned(queue, "discard", "error:timeout", reason="gone")
    run(queue, stored.id, "me")
    assert dead_letters(queue) == []
    perform(queue, Operation("undo_discard", {"discard_id": str(stored.id)}), "me")
    assert len(dead_letters(queue)) == 1


def test_a_replay_shows_what_became_of_the_earlier_ones(queue: Queue) -> None:
    """Only replays that have ended count."""
    timed_out(queue)
    perform(queue, Operation("replay_dlq"), "me")
    [again] = take(queue)
    settle(queue, again, Outcome.FAILED, error=TIMEOUT)
    [result] = look_for(queue, "replay", "is:dead-lettered").replays.values()
    assert (result.ended, result.succeeded) == (1, 0)


def test_only_failures_of_older_releases_are_replayed(queue: Queue, owner: Owner) -> None:
    """The release that dead-lettered a job decides."""
    old, new = timed_out(queue), timed_out(queue)
    owner.execute("update public.jobs_dlq set code_version = '0.0.9' where job_id = %s", (old,))
    owner.execute("update public.jobs_dlq set code_version = '99.0' where job_id = %s", (new,))
    found = look_for(queue, "replay", "release:older")
    assert [item.id for item in found.items] == [old]
    assert found.counts("release") == [("0.0.9", 1)]


@pytest.mark.parametrize("typed", ["", "sort:oldest", "staus:failed"])
def test_a_search_for_everything_or_with_a_problem_is_rejected(queue: Queue, typed: str) -> None:
    """An action needs a filter, and every term of it."""
    with pytest.raises(InvalidArgument):
        look_for(queue, "retry", typed)


def test_an_unknown_action_is_named(queue: Queue) -> None:
    """The message says where to find them."""
    with pytest.raises(JobNotFound, match="cogo list actions"):
        queue.run_action(new_request_id(), "me")
    with pytest.raises(JobNotFound, match="No action"):
        queue.find_action("ffffffff")
    with pytest.raises(JobNotFound, match="cogo list actions"):
        find(queue, "action:ffffffff")
