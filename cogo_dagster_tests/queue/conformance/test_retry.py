"""Retry: a failed job is queued again under its own ID, and its row in the DLQ is closed."""

from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.bulk import Operation, perform, perform_items, preview
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, InvalidTransition, JobNotFound
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, add, dead_letters, look, running_job, settle, take_one

RETRY = Operation("retry_failed")


def failed_job(queue: Queue, type: str = "browser", **options: Json) -> UUID:
    """Enqueue a job and let it fail permanently."""
    job = running_job(queue, type, **options)
    settle(queue, job, Outcome.FAILED, error=PERMANENT)
    return job.id


def test_a_retried_job_is_due_and_its_dlq_row_closed(queue: Queue) -> None:
    """It keeps its attempts, and the failed one is recorded."""
    job_id = failed_job(queue)
    assert perform(queue, RETRY, "me").changed == 1
    job = look(queue, job_id)
    assert (job["status"], job["attempts"], job["max_attempts"], job["finished_at"]) == ("queued", 1, 5, None)
    assert [(one["attempt"], one["outcome"]) for one in job["superseded_attempts"]] == [(1, "failed")]
    assert dead_letters(queue) == []
    assert take_one(queue).attempts == 2


def test_a_job_out_of_attempts_is_granted_one_more(queue: Queue) -> None:
    """It gets one more attempt, or all on request."""
    job_id = failed_job(queue, max_attempts=1)
    perform(queue, RETRY, "me")
    job = look(queue, job_id)
    assert (job["attempts"], job["max_attempts"]) == (1, 2)


def test_attempts_can_be_reset(queue: Queue) -> None:
    """The job has all its attempts again."""
    job_id = failed_job(queue, max_attempts=1)
    perform(queue, Operation("retry_failed", {"reset_attempts": True}), "me")
    job = look(queue, job_id)
    assert (job["attempts"], job["max_attempts"]) == (0, 1)


def test_a_retried_job_that_fails_again_reopens_its_dlq_row(queue: Queue) -> None:
    """A job has one row, with the newest error."""
    job_id = failed_job(queue)
    perform(queue, RETRY, "me")
    settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    [row] = dead_letters(queue)
    assert (row["job_id"], row["attempts"], row["closed_at"]) == (str(job_id), 2, None)


def test_a_retried_job_that_crashes_reopens_its_dlq_row(queue: Queue, age: Age) -> None:
    """Its last lease expired: the row is open again, with that reason."""
    job_id = failed_job(queue, max_attempts=1)
    perform(queue, RETRY, "me")
    age(take_one(queue), 3_600)
    queue.recover()
    [row] = dead_letters(queue)
    assert (row["job_id"], row["reason"], row["closed_at"]) == (str(job_id), "crashed", None)


def test_a_job_snoozed_too_often_may_be_snoozed_again(queue: Queue, owner: Owner) -> None:
    """Its snoozes are reset, since it would fail at the first one otherwise; the attempt history has its end."""
    job = running_job(queue)
    owner.execute("update public.jobs set snoozes = 99")
    settle(queue, job, Outcome.SNOOZED, error=BROKEN)
    perform(queue, RETRY, "me")
    [ended] = look(queue, job)["superseded_attempts"]
    assert ended["outcome"] == "snoozed"
    settle(queue, take_one(queue), Outcome.SNOOZED)
    assert look(queue, job)["status"] == "queued"


def test_a_dry_run_lists_the_change_of_each_job_and_writes_nothing(queue: Queue, owner: Owner) -> None:
    """It writes no log entry and locks no job."""
    job_id = failed_job(queue, max_attempts=1)
    before = _everything(owner)
    [item] = preview(queue, RETRY).items
    assert _everything(owner) == before
    assert (item["id"], item["attempts"], item["attempts_after"]) == (str(job_id), 1, 1)
    assert (item["max_attempts"], item["max_attempts_after"]) == (1, 2)
    assert item["error"]["class"] == "not_found"


def test_a_call_without_arguments_is_a_dry_run(transport: Transport, queue: Queue) -> None:
    """A trial call in an SQL editor changes nothing."""
    failed_job(queue)
    assert transport.call("retry_failed", {})["changed"] == 0
    assert len(dead_letters(queue)) == 1


def test_the_filters_select_jobs(queue: Queue, owner: Owner) -> None:
    """The filters are type, executor ID and time of the failure."""
    page, pdf = failed_job(queue), failed_job(queue, "browser.pdf")
    old = failed_job(queue)
    owner.execute("update public.jobs set finished_at = now() - interval '2 h' where id = %s", (old,))
    failed_job(queue, "gate.fix")

    def chosen(**filters: Json) -> set[UUID]:
        return {UUID(item["id"]) for item in preview(queue, Operation("retry_failed", filters)).items}

    assert chosen(type_prefix="browser") == {page, pdf, old}
    assert chosen(type_prefix="browser.pdf") == {pdf}
    assert chosen(type_prefix="browser", since_seconds=3600) == {page, pdf}
    assert chosen(executor_id="mac") == set()


def test_all_matching_jobs_are_retried_in_batches(queue: Queue, transport: Transport, owner: Owner) -> None:
    """The limit of a call does not limit the command; pages of a dry run neither repeat nor omit a job."""
    jobs = {failed_job(queue) for _ in range(7)}
    owner.execute("update public.jobs set finished_at = (select min(finished_at) from public.jobs)")
    pages, after = [], None
    for _ in range(3):
        page = transport.call("retry_failed", {"batch_size": 3} | ({"after": after} if after else {}))
        pages.append({UUID(item["id"]) for item in page["items"]})
        after = page["after"]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert set.union(*pages) == jobs
    assert perform(queue, RETRY, "me", limit=4).changed == 4
    assert perform(queue, RETRY, "me").changed == 3


def test_a_repeated_batch_returns_the_same_and_changes_nothing(queue: Queue, transport: Transport) -> None:
    """The second call must neither process the next jobs nor count twice."""
    for _ in range(4):
        failed_job(queue)
    call = {"dry_run": False, "batch_size": 2, "action": {"id": str(uuid4()), "batch": 0, "actor": "me"}}
    first = transport.call("retry_failed", call)
    assert transport.call("retry_failed", call) == first
    assert first["changed"] == 2
    assert len(dead_letters(queue)) == 2
    [logged] = queue.list_operations()
    assert (logged.document["operation"], logged.document["actor"], logged.document["changed"]) == (
        "retry_failed",
        "me",
        2,
    )


def test_an_action_id_of_another_operation_is_rejected(queue: Queue, transport: Transport) -> None:
    """Two actions under one ID would be counted as one."""
    action = {"id": str(uuid4()), "batch": 0, "actor": "me"}
    transport.call("retry_failed", {"dry_run": False, "action": action})
    with pytest.raises(InvalidArgument, match="belongs to another operation"):
        transport.call("purge_jobs", {"dry_run": False, "action": action | {"batch": 1}})


def test_a_planned_job_that_changed_is_skipped(queue: Queue) -> None:
    """It was retried and failed again, which is another failure than the planned one."""
    changed, same = failed_job(queue), failed_job(queue)
    plan = preview(queue, RETRY).items
    perform(queue, Operation("retry_failed", {"job_ids": [str(changed)]}), "me")
    settle(queue, take_one(queue), Outcome.FAILED, error=PERMANENT)
    done = perform_items(queue, RETRY, plan, "me")
    assert (done.matched, done.changed, done.skipped) == (2, 1, 1)
    assert look(queue, same)["status"] == "queued"
    assert look(queue, changed)["status"] == "failed"
    assert perform_items(queue, RETRY, plan, "me").changed == 0


def test_named_jobs_are_all_retried_or_none(queue: Queue) -> None:
    """A job that does not exist, has not failed, or was replayed makes the call fail."""
    good, replayed, waiting = failed_job(queue), failed_job(queue), add(queue)
    perform(queue, Operation("replay_dlq", {"job_ids": [str(replayed)]}), "me")
    for bad, error, message in (
        (uuid4(), JobNotFound, "There is no job"),
        (waiting, InvalidTransition, "is queued and only failed jobs can be retried"),
        (replayed, InvalidTransition, "was replayed as job"),
    ):
        with pytest.raises(error, match=message):
            perform(queue, Operation("retry_failed", {"job_ids": [str(good), str(bad)]}), "me")
    assert look(queue, good)["status"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 to 1000"),
        ({"batch_size": 1001}, "batch_size must be 1 to 1000"),
        ({"job_ids": {}}, "job_ids must be an array"),
        ({"job_ids": [], "items": []}, "not both"),
        ({"job_ids": ["x"]}, "Invalid argument"),
        ({"dry_run": False, "action": {"batch": 0}}, "action must be an object"),
    ],
)
def test_invalid_arguments_are_rejected(transport: Transport, arguments: Json, message: str) -> None:
    """The call fails with a message before anything is changed."""
    with pytest.raises(InvalidArgument, match=message):
        transport.call("retry_failed", arguments)


def _everything(owner: Owner) -> list[tuple[object, ...]]:
    tables = ("jobs", "jobs_dlq", "job_attempts", "operations_log")
    return [
        row
        for table in tables
        for row in owner.execute(f"select ctid, xmin, xmax, t::text from public.{table} t".encode()).fetchall()
    ]
