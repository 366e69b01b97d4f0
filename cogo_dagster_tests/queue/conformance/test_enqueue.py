"""Enqueue: jobs are added atomically, once and in order, even if the call is repeated."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from cogo_dagster.queue.client import Queue, content_key
from cogo_dagster.queue.errors import DuplicateJob, InvalidArgument
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION
from cogo_dagster_tests.queue.steps import add, look, running_job, settle, take

LONG_KEY = "k" * 501


def test_an_enqueued_job_waits_with_its_defaults(queue: Queue) -> None:
    """It is queued, due, unaddressed, of middle priority, with five attempts."""
    row = look(queue, add(queue))
    assert (row["status"], row["attempts"], row["max_attempts"], row["priority"]) == ("queued", 0, 5, 5)
    assert (row["payload"], row["executor_id"], row["idempotency_key"], row["worker_id"]) == ({}, None, None, None)
    assert row["next_run_at"] <= row["created_at"]


def test_results_are_in_the_given_order(queue: Queue) -> None:
    """Each job's ID is at its index, also where a key found an existing job."""
    older = add(queue, idempotency_key="old")
    first, second, third = queue.enqueue([NewJob("browser"), NewJob("browser", idempotency_key="old"), NewJob("figma")])
    assert (first.created, second.created, third.created) == (True, False, True)
    assert second.job_id == older
    assert look(queue, third.job_id)["type"] == "figma"


def test_more_jobs_than_one_call_accepts_are_enqueued_in_order(queue: Queue) -> None:
    """2,500 jobs are enqueued in three calls, and the IDs increase with the order."""
    added = queue.enqueue([NewJob("browser", {"number": number}) for number in range(2_500)])
    assert len({job.job_id for job in added}) == 2_500
    assert queue.stats().document["ready"] == 2_500
    assert [job.payload["number"] for job in take(queue, 3)] == [0, 1, 2]


def test_an_empty_list_is_valid(queue: Queue, transport: Transport) -> None:
    """An empty list adds nothing."""
    assert queue.enqueue([]) == []
    assert transport.call("enqueue_jobs", {"jobs": []}) == {"jobs": []}


def test_a_prepared_call_adds_nothing(queue: Queue) -> None:
    """The connection is open and the statement planned; the next call adds its jobs as usual."""
    queue.prepare_enqueue()
    assert queue.stats().document["ready"] == 0
    assert look(queue, add(queue, idempotency_key="k"))["idempotency_key"] == "k"


def test_the_same_key_with_the_same_content_finds_the_first_job(queue: Queue) -> None:
    """The second call adds nothing and returns the same ID."""
    job = NewJob("browser", {"url": "https://example.com"}, idempotency_key="once")
    [first], [second] = queue.enqueue([job]), queue.enqueue([job])
    assert (first.created, second.created) == (True, False)
    assert first.job_id == second.job_id
    assert queue.stats().document["ready"] == 1


@pytest.mark.parametrize("change", [{"payload": {"url": "other"}}, {"executor_id": "mac"}], ids=["payload", "executor"])
def test_the_same_key_with_different_content_is_rejected(queue: Queue, change: dict[str, Any]) -> None:
    """The error names the job that has the key; nothing of the batch is added."""
    held = add(queue, payload={"url": "one"}, idempotency_key="once")
    content = {"payload": {"url": "one"}, "idempotency_key": "once"} | change
    with pytest.raises(DuplicateJob, match="another payload or executor id") as refused:
        queue.enqueue([NewJob("figma"), NewJob("browser", **content)])
    assert refused.value.existing_id == str(held)
    assert len(queue.list_jobs()) == 1


def test_a_key_is_unique_per_type(queue: Queue) -> None:
    """The same key with another type is another job."""
    assert add(queue, "browser", idempotency_key="once") != add(queue, "browser.pdf", idempotency_key="once")


def test_a_key_twice_in_one_batch_is_one_job(queue: Queue) -> None:
    """The second job finds the first."""
    first, second = queue.enqueue([NewJob("browser", idempotency_key="once")] * 2)
    assert (first.created, second.created) == (True, False)
    assert first.job_id == second.job_id


def test_a_key_remains_taken_after_the_end_of_the_job(queue: Queue) -> None:
    """The key finds the job until it is purged."""
    job = running_job(queue, idempotency_key="once")
    settle(queue, job)
    [again] = queue.enqueue([NewJob("browser", idempotency_key="once")])
    assert (again.job_id, again.created) == (job.id, False)


def test_the_content_key_does_not_depend_on_the_order_of_keys(queue: Queue) -> None:
    """Equal content has one key; another executor, type or payload has another."""
    key = content_key("browser", None, {"a": 1, "b": [1, 2]})
    assert key == content_key("browser", None, {"b": [1, 2], "a": 1})
    others = {content_key("browser", "mac", {"a": 1}), content_key("figma", None, {"a": 1}), key}
    assert len(others) == 3
    assert len(key) == 64


def test_a_repeated_request_adds_nothing(transport: Transport, queue: Queue) -> None:
    """A repeated request ID finds the jobs of the first call."""
    request = {"jobs": [{"type": "browser"}, {"type": "figma"}], "request_id": str(uuid4())}
    first = transport.call("enqueue_jobs", request)
    assert transport.call("enqueue_jobs", request) == first
    assert queue.stats().document["ready"] == 2


def test_a_batch_is_all_or_none(queue: Queue) -> None:
    """With one invalid job among valid ones, none is added."""
    with pytest.raises(InvalidArgument):
        queue.enqueue([NewJob("browser"), NewJob("Not A Type"), NewJob("browser")])
    assert queue.list_jobs() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"type": None}, "The type is missing"),
        ({"type": "Browser"}, "The type 'Browser' must be lower-case words"),
        ({"type": "browser."}, "must be lower-case words"),
        ({"type": "b" * 101}, "must be lower-case words"),
        ({"payload": [1]}, "The payload must be a JSON object."),
        ({"payload": "text"}, "The payload must be a JSON object."),
        ({"payload": {"text": "\0"}}, "Invalid argument"),
        ({"priority": -1}, r"The priority must be 0 \(first\) to 9."),
        ({"priority": 10}, r"The priority must be 0 \(first\) to 9."),
        ({"priority": "soon"}, "invalid input syntax for type integer"),
        ({"max_attempts": 0}, "max_attempts must be 1 to 100."),
        ({"max_attempts": 101}, "max_attempts must be 1 to 100."),
        ({"run_in_seconds": -1}, "run_in_seconds must be 0 to ten years."),
        ({"run_in_seconds": 1e12}, "run_in_seconds must be 0 to ten years."),
        ({"timeout_seconds": 0}, "timeout_seconds must be above 0 and at most a day."),
        ({"timeout_seconds": -1}, "timeout_seconds must be above 0 and at most a day."),
        ({"idempotency_key": ""}, "The idempotency key must have 1 to 500 characters."),
        ({"idempotency_key": LONG_KEY}, "The idempotency key must have 1 to 500 characters."),
        ({"executor_id": ""}, "The executor id must have 1 to 200 characters."),
    ],
)
def test_an_invalid_job_is_rejected_with_a_message(transport: Transport, wrong: dict[str, Any], message: str) -> None:
    """The message names the error, and nothing is added."""
    with pytest.raises(InvalidArgument, match=message):
        transport.call("enqueue_jobs", {"jobs": [{"type": "browser"}, {"type": "browser"} | wrong]})
    assert transport.call("list_jobs", {}) == []


@pytest.mark.parametrize("jobs", [None, {"type": "browser"}, "browser", 1])
def test_jobs_must_be_an_array(transport: Transport, jobs: object) -> None:
    """A single object instead of a list is rejected with a message."""
    with pytest.raises(InvalidArgument, match="jobs must be an array of job objects"):
        transport.call("enqueue_jobs", {"jobs": jobs})


def test_enqueuing_is_part_of_the_callers_transaction(queue: Queue, owner: Owner) -> None:
    """A rollback removes the job; a commit adds it."""
    document = Jsonb([{"type": "browser"}])
    with owner.transaction(force_rollback=True):
        owner.execute("select public.enqueue_jobs(%s)", (document,))
    assert queue.list_jobs() == []
    with owner.transaction():
        owner.execute("select public.enqueue_jobs(%s)", (document,))
    assert len(queue.list_jobs()) == 1


@BY_VERSION
def test_concurrent_sessions_with_one_key_make_one_job(queue: Queue, dsn: str) -> None:
    """Every fifth caller rolls back, all others get the same ID, and there is one row."""
    together = Barrier(20)
    document = Jsonb([{"type": "browser", "idempotency_key": "once"}])

    def enqueue(number: int) -> UUID | None:
        with psycopg.connect(dsn) as connection:
            connection.execute("set role service_role")
            together.wait()
            row = connection.execute("select public.enqueue_jobs(%s) #>> '{jobs,0,job_id}'", (document,)).fetchone()
            if number % 5 == 0:
                connection.rollback()
                return None
            connection.commit()
            return UUID(row[0]) if row else None

    ids = _run_together(20, enqueue)
    [row] = queue.list_jobs()
    assert {job_id for job_id in ids if job_id} == {UUID(row.document["id"])}


def _run_together(threads: int, call: Callable[[int], UUID | None]) -> list[UUID | None]:
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(call, number) for number in range(threads)]]
