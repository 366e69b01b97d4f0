"""Calls for many jobs: compact claims with a cursor, successes and new jobs given as columns."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.client import ClaimedJobs, ClaimRequest, Queue, Settled
from cogo_dagster.queue.errors import DuplicateJob, InvalidArgument
from cogo_dagster.queue.model import Job, Json, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, a_worker, add, look, running_job


def claim(
    queue: Queue, max_jobs: int, after: Any = None, *families: str, executor_id: str | None = None
) -> ClaimedJobs:
    """Claim a batch."""
    requests = [ClaimRequest(family, max_jobs) for family in families or ("browser",)]
    worker = a_worker(executor_id=executor_id)
    return queue.claim(uuid4(), requests, worker, lease_seconds=60, max_jobs=max_jobs, after=after)


def test_a_cursor_continues_after_the_claimed_jobs(queue: Queue) -> None:
    """The claims of a lane with their cursors return every job once, in order."""
    added = [enqueued.job_id for enqueued in queue.enqueue([NewJob("browser") for _ in range(7)])]
    found: list[UUID] = []
    cursor = None
    for _ in range(4):
        claimed = claim(queue, 2, cursor)
        found += [job.id for job in claimed.jobs]
        cursor = claimed.cursor
    assert found == added


def test_a_cursor_skips_what_became_due_before_it(queue: Queue, owner: Owner) -> None:
    """A job that is committed late is found by the next claim without a cursor."""
    add(queue)
    cursor = claim(queue, 1).cursor
    late = add(queue)
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '1 hour' where id = %s", (late,))
    assert claim(queue, 1, cursor).jobs == []
    assert [job.id for job in claim(queue, 1).jobs] == [late]


def test_a_cursor_applies_to_its_priority_and_to_unaddressed_jobs_only(queue: Queue, owner: Owner) -> None:
    """More urgent jobs and jobs addressed to the worker are never skipped."""
    add(queue, executor_id=None)
    cursor = claim(queue, 1).cursor
    wanted = {add(queue, priority=0), add(queue, executor_id="mac")}
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '1 hour' where status = 'queued'")
    assert {job.id for job in claim(queue, 9, cursor, executor_id="mac").jobs} == wanted


@pytest.mark.parametrize(
    "given", [{"priorities": [3, 5]}, {"executor_id": "mac"}, {"families": ("browser", "figma")}], ids=str
)
def test_no_cursor_is_returned_where_it_could_skip_jobs(queue: Queue, given: dict[str, Any]) -> None:
    """Claims of several priorities or families, or of addressed jobs only, return none."""
    for priority in given.get("priorities", [5]):
        add(queue, priority=priority, executor_id=given.get("executor_id"))
    claimed = claim(queue, 9, None, *given.get("families", ()), executor_id=given.get("executor_id"))
    assert claimed.jobs
    assert claimed.cursor is None


def test_a_repeated_compact_claim_returns_the_same_jobs(queue: Queue) -> None:
    """Every field is the same, also of jobs with other values than the defaults."""
    added_at = datetime.now(UTC)
    add(queue, payload={"n": 1})
    add(queue, executor_id="mac", priority=5, idempotency_key="k", timeout_seconds=2.5)
    claim_id, worker, requests = uuid4(), a_worker(executor_id="mac"), [ClaimRequest("browser", 9)]
    first = queue.claim(claim_id, requests, worker, lease_seconds=60)
    again = queue.claim(claim_id, requests, worker, lease_seconds=60)
    assert again.jobs == first.jobs
    plain, addressed = first.jobs
    assert (addressed.executor_id, addressed.idempotency_key, addressed.timeout_seconds) == ("mac", "k", 2.5)
    assert (plain.executor_id, plain.priority, plain.payload, plain.lost_attempts) == (None, 5, {"n": 1}, 0)
    assert plain.created_at is not None
    assert abs(plain.created_at - added_at) < timedelta(minutes=5)


def test_a_claim_that_is_not_compact_returns_objects(transport: Transport, queue: Queue) -> None:
    """The form that other programs use, also when the claim is repeated."""
    job_id = add(queue)
    arguments: dict[str, Json] = {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": 2}],
        "worker_id": "worker",
    }
    first = transport.call("claim_jobs", arguments)
    assert [(job["id"], job["lease_token"]) for job in first["jobs"]] == [(str(job_id), arguments["claim_id"])]
    assert transport.call("claim_jobs", arguments) == first


@pytest.mark.parametrize("results", [[[1, 2], {"a": [3]}, "text", None, 0, False], [None] * 6], ids=["mixed", "none"])
def test_results_of_any_kind_are_stored(queue: Queue, results: list[Json]) -> None:
    """Arrays too, also if the first result is one; no result is null."""
    jobs = [running_job(queue) for _ in results]
    ended = [Settlement(job, Outcome.SUCCEEDED, result) for job, result in zip(jobs, results, strict=True)]
    assert queue.settle(ended) == [Settled("ok", "succeeded")] * len(jobs)
    assert [look(queue, job)["result"] for job in jobs] == results


def test_successes_and_failures_of_a_batch_are_answered_in_order(queue: Queue, age: Age) -> None:
    """Thirty successes, of which one has lost its lease, with failures between them."""
    jobs = [running_job(queue) for _ in range(40)]
    age(jobs[8], 120)
    queue.recover()
    ended = [
        Settlement(job, Outcome.FAILED, error=BROKEN) if n % 4 == 3 else Settlement(job, Outcome.SUCCEEDED, {"n": n})
        for n, job in enumerate(jobs)
    ]
    settled = queue.settle(ended)
    expected = [Settled("ok", "queued" if n % 4 == 3 else "succeeded") for n in range(40)]
    expected[8] = Settled("lease_lost", "queued")
    assert settled == expected
    repeated = queue.settle(ended)
    assert [one.status for one in repeated] == [one.status for one in expected]


def test_a_success_twice_in_one_call_is_recorded_once(queue: Queue) -> None:
    """Both items are answered with ok."""
    job = running_job(queue)
    assert [one.status for one in queue.settle([Settlement(job, Outcome.SUCCEEDED)] * 2)] == ["ok", "ok"]


@pytest.mark.parametrize(
    "wrong", [{"lease_tokens": []}, {"run_seconds": [1.0, 2.0]}, {"results": []}, {"job_ids": None}], ids=str
)
def test_columns_of_different_lengths_are_rejected(transport: Transport, queue: Queue, wrong: dict[str, Json]) -> None:
    """Nothing is settled."""
    job: Job = running_job(queue)
    columns = {"job_ids": [str(job.id)], "lease_tokens": [str(job.lease_token)], "run_seconds": [1.0]}
    with pytest.raises(InvalidArgument, match="arrays of the same length"):
        transport.call("succeed_jobs", columns | wrong)
    assert look(queue, job)["status"] == "running"


@pytest.mark.parametrize(
    "wrong",
    [
        {"payloads": []},
        {"payloads": {}},
        {"payloads": None},
        {"types": None},
        {"priorities": [1]},
        {"idempotency_keys": ["a", "b", "c"]},
        {"types": ["browser", "browser", "browser"]},
        {"types": []},
        {"types": ["browser"], "payloads": []},
    ],
    ids=str,
)
def test_new_jobs_need_columns_of_one_length(transport: Transport, queue: Queue, wrong: dict[str, Json]) -> None:
    """Nothing is enqueued."""
    columns: dict[str, Json] = {"types": ["browser", "browser"], "payloads": [{}, {}]}
    with pytest.raises(InvalidArgument, match="arrays of the same length"):
        transport.call("enqueue_columns", columns | wrong)
    assert queue.list_jobs() == []


def test_columns_and_documents_enqueue_the_same_jobs(transport: Transport, queue: Queue) -> None:
    """Every field, its default if it is null, and the result of a key that belongs to an earlier job."""
    document = {
        "type": "browser.pdf",
        "payload": {"url": "https://example.com"},
        "executor_id": "mac",
        "priority": 1,
        "max_attempts": 2,
        "idempotency_key": "k",
        "run_in_seconds": 0,
        "timeout_seconds": 3,
    }
    names = {
        "types": "type",
        "payloads": "payload",
        "executor_ids": "executor_id",
        "priorities": "priority",
        "max_attempts": "max_attempts",
        "idempotency_keys": "idempotency_key",
        "run_in_seconds": "run_in_seconds",
        "timeout_seconds": "timeout_seconds",
    }
    plain = {"type": "browser", "payload": None}
    columns = {column: [document[name], plain.get(name)] for column, name in names.items()}
    by_columns = transport.call("enqueue_columns", columns)
    assert by_columns["created"] is None
    by_documents = transport.call("enqueue_jobs", {"jobs": [document, plain]})["jobs"]
    assert [job["created"] for job in by_documents] == [False, True]
    assert by_documents[0]["job_id"] == by_columns["job_ids"][0]
    again = transport.call("enqueue_columns", columns)
    assert again["created"] == [False, True]
    rows = queue.get_jobs([UUID(job_id) for job_id in (by_columns["job_ids"][1], by_documents[1]["job_id"])])
    compared = [(row.type, row.payload, row.priority, row.max_attempts, row.executor_id) for row in rows]
    assert compared == [("browser", {}, 5, 5, None)] * 2


def test_a_single_type_is_the_type_of_all_jobs(transport: Transport, queue: Queue) -> None:
    """Also of those whose idempotency key belongs to an earlier job."""
    columns: dict[str, Json] = {"types": ["browser.pdf"], "payloads": [{"n": 1}, {"n": 2}, {"n": 3}]}
    added = transport.call("enqueue_columns", columns | {"idempotency_keys": [None, "k", "l"]})
    assert added["created"] is None
    assert [job.type for job in queue.get_jobs([UUID(job_id) for job_id in added["job_ids"]])] == ["browser.pdf"] * 3
    again = transport.call("enqueue_columns", columns | {"idempotency_keys": [None, "k", "l"]})
    assert again["created"] == [True, False, False]
    assert again["job_ids"][1:] == added["job_ids"][1:]


@pytest.mark.parametrize("types", [["Browser"], [None], [""], ["browser", None, "browser"]], ids=str)
def test_a_wrong_type_rejects_all_columns(transport: Transport, queue: Queue, types: list[Json]) -> None:
    """Also if it is the only one of several jobs."""
    with pytest.raises(InvalidArgument, match="must be lower-case words joined by dots"):
        transport.call("enqueue_columns", {"types": types, "payloads": [{}, {}, {}]})
    assert queue.list_jobs() == []


def test_the_ids_of_a_request_follow_its_id(transport: Transport) -> None:
    """Incremented in the last 32 bits, so that earlier releases find the same jobs; also for other kinds of UUIDs."""
    for request_id in ("0192f0a0-1111-7abc-8def-0123ffffffff", "00000000-0000-0000-0000-00000000000a"):
        arguments = {"types": ["browser"], "payloads": [{}, {}], "request_id": request_id}
        last = f"{(int(request_id[-8:], 16) + 1) % 2**32:08x}"
        assert transport.call("enqueue_columns", arguments)["job_ids"] == [request_id, request_id[:-8] + last]


def test_a_key_with_other_content_rejects_all_columns(queue: Queue) -> None:
    """The error names the existing job, and no job is added."""
    existing = add(queue, idempotency_key="k", payload={"n": 1})
    with pytest.raises(DuplicateJob, match=str(existing)):
        queue.enqueue([NewJob("browser"), NewJob("browser", {"n": 2}, idempotency_key="k")])
    assert len(queue.list_jobs()) == 1
