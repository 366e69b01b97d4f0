"""Rows that violate the checks, from older releases or plain SQL, are failed, shown as unreadable, or left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION
from cogo_dagster_tests.queue.conformance.test_gate_runs import record
from cogo_dagster_tests.queue.conformance.test_limits import nested
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import a_worker, add, look, register, running_job, settle, take


@pytest.mark.parametrize("payload", ['{"n": 1e5000}', nested(1200), '{"t": "' + "x" * 1_100_000 + '"}'])
def test_an_invalid_row_is_failed_in_the_database(
    transport: Transport, queue: Queue, owner: Owner, payload: str
) -> None:
    """Its claimer cannot decode it: it is dead-lettered with its payload, and the rest of the claim runs."""
    bad, good = _written_past(owner, payload), add(queue)
    claim_id = uuid4()
    _claim_blindly(owner, claim_id)
    assert transport.call("fail_unreadable_jobs", {"claim_id": str(claim_id)}) == {"failed": 1, "job_ids": [str(bad)]}
    row = owner.execute(
        "select j.status, j.attempts, j.error ->> 'class', j.error ->> 'message', d.reason, d.payload = j.payload"
        " from public.jobs j join public.jobs_dlq d on d.job_id = j.id where j.id = %s",
        (bad,),
    ).fetchone()
    assert row is not None
    assert row[:3] == ("failed", 1, "unreadable")
    assert row[3].startswith("The payload ")
    assert row[4:] == ("permanent", True)
    assert look(queue, good)["status"] == "running"
    assert queue.fail_unreadable(claim_id) == 0


@pytest.mark.parametrize(
    "payload",
    ['{"n": 1e5000}', nested(1200), '{"t": "' + "x" * 1_100_000 + '"}', '{"n": [' + "1e131071," * 9_000 + "1]}"],
    ids=["number", "deep", "long", "numbers"],
)
def test_an_invalid_payload_is_shown_as_unreadable(
    transport: Transport, queue: Queue, owner: Owner, payload: str
) -> None:
    """The job page shows the reason; lists and searches skip the payload."""
    bad, good = _written_past(owner, payload), add(queue, payload={"url": "https://example.com/needle"})
    assert look(queue, bad)["payload"]["unreadable"].startswith("It ")
    assert [row["id"] for row in transport.call("search_jobs", {"words": "needle"})["jobs"]] == [str(good)]
    assert {row["id"] for row in transport.call("list_jobs", {})} == {str(bad), str(good)}
    assert [row.document["why"] for row in queue.explain([bad])] == ["no_worker"]


def test_every_job_of_a_claim_can_be_failed(queue: Queue) -> None:
    """No job looks invalid and still none can be decoded; jobs of other claims are unchanged."""
    mine, other = running_job(queue), running_job(queue)
    assert queue.fail_unreadable(mine.lease_token) == 0
    assert queue.fail_unreadable(mine.lease_token, every_one=True) == 1
    assert (look(queue, mine)["status"], look(queue, other)["status"]) == ("failed", "running")
    assert look(queue, mine)["error"]["class"] == "unreadable"


def test_an_ended_claim_cannot_fail_jobs(queue: Queue) -> None:
    """The job was requeued and claimed again: the first claim has no effect."""
    job = running_job(queue)
    settle(queue, job, Outcome.REQUEUED)
    [again] = take(queue)
    assert queue.fail_unreadable(job.lease_token, every_one=True) == 0
    assert look(queue, again)["status"] == "running"


DATES = ["infinity", "-infinity", "11026-01-01 00:00+00", "0044-03-15 00:00+00 BC"]
DATE_COLUMNS = [
    ("jobs", "next_run_at"),
    ("jobs", "created_at"),
    ("jobs", "finished_at"),
    ("jobs_dlq", "failed_at"),
    ("workers", "started_at"),
    ("artifacts", "expires_at"),
]


@BY_VERSION
def test_no_row_accepts_a_date_that_cannot_be_shown(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Years are limited to 1 to 9999 for every writer."""
    _one_of_each(transport, queue)
    for table, name in DATE_COLUMNS:
        for date in DATES:
            with pytest.raises(psycopg.errors.CheckViolation, match=f"{table}_dates_known"):
                owner.execute(f"update public.{table} set {name} = %s".encode(), (date,))


READERS: list[tuple[str, Json]] = [
    ("queue_stats", {}),
    ("queue_numbers", {}),
    ("worker_totals", {}),
    ("list_workers", {}),
    ("list_workers", {"alive_only": True}),
    ("list_heartbeats", {}),
    ("list_jobs", {}),
    ("search_jobs", {"words": "x"}),
    ("job_history", {}),
    ("job_history_by_type", {}),
    ("count_jobs", {}),
    ("list_dlq", {}),
    ("list_incidents", {}),
    ("list_artifacts", {}),
    ("list_operations", {}),
    ("next_due", {"families": ["browser"]}),
    ("health_facts", {}),
    ("alert_target_health", {}),
    ("gate_summary", {}),
    ("weekly_numbers", {}),
    ("list_gate_runs", {}),
    ("recover_leases", {"dry_run": True}),
    ("retry_failed", {}),
    ("replay_dlq", {"dry_run": True}),
    ("purge_jobs", {}),
    ("cleanup_artifacts", {"dry_run": True}),
    ("evaluate_alerts", {}),
]


@pytest.mark.parametrize("date", ["infinity", "-infinity"])
def test_a_row_with_an_invalid_date_fails_no_list(transport: Transport, queue: Queue, owner: Owner, date: str) -> None:
    """The row is older than the checks: each list shows it or leaves it out."""
    _one_of_each(transport, queue)
    with _without_checks(owner):
        for table, columns in {
            "jobs": "created_at, next_run_at, claimed_at, started_at",
            "jobs_dlq": "failed_at",
            "workers": "started_at, last_heartbeat_at",
            "artifacts": "created_at",
            "gate_runs": "created_at",
        }.items():
            for column in columns.split(", "):
                owner.execute(f"update public.{table} set {column} = %s".encode(), (date,))
        owner.execute("update public.jobs set finished_at = %s where finished_at is not null", (date,))
        owner.execute("update public.jobs set lease_expires_at = %s where lease_expires_at is not null", (date,))
        owner.execute("update public.workers set heartbeat_seconds = 'Infinity'")
        for function, arguments in READERS:
            transport.call(function, arguments)
        [row] = transport.call("list_jobs", {"statuses": ["queued"]})
        assert row["created_at"] == date
        assert transport.call("explain_jobs", {"job_ids": [row["id"]]})
        assert transport.call("get_jobs", {"job_ids": [row["id"]]})


def test_malformed_counters_fail_no_sum(transport: Transport, queue: Queue, owner: Owner) -> None:
    """They are left out of sums and lists; the others are included."""
    good, odd = a_worker("good"), a_worker("odd")
    histogram: Json = {"bounds_seconds": [1, 2], "counts": [1, 2, 3], "sum_seconds": 4}
    for one in (good, odd):
        register(queue, one)
        queue.heartbeat(one, 1, {"counters": {"claimed": 3}, "latency": histogram})
    for counters, kept in (
        ('{"claimed": "many", "failed": 1}', {"failed": 1}),
        ('{"claimed": 1e5000, "failed": 1}', {"failed": 1}),
        ('{"claimed": -1}', {}),
        ("[]", {}),
        ('"text"', {}),
    ):
        owner.execute("update public.worker_metrics set counters = %s where worker_id = 'odd'", (counters,))
        owner.execute("update public.worker_heartbeats set metrics = %s where worker_id = 'odd'", (counters,))
        assert transport.call("worker_totals", {})["counters"] == {"claimed": 3} | kept
        rows = {row["worker_id"]: row["counters"] for row in transport.call("list_workers", {})}
        assert rows == {"good": {"claimed": 3}, "odd": kept}
        assert kept in [row["counters"] for row in transport.call("list_heartbeats", {})]


@pytest.mark.parametrize(
    "latency",
    [
        '{"bounds_seconds": [1, 2], "counts": [1, "x", 3], "sum_seconds": 4}',
        '{"bounds_seconds": [1, 2], "counts": 7, "sum_seconds": 4}',
        '{"bounds_seconds": [1, 2], "counts": [1, 1, 1], "sum_seconds": "long"}',
        '{"bounds_seconds": ["a"], "counts": [1, 1], "sum_seconds": 4}',
        '{"bounds_seconds": [1, 2], "counts": [1, 1, 1e5000], "sum_seconds": 4}',
        "[]",
    ],
)
def test_a_malformed_histogram_fails_no_sum(transport: Transport, queue: Queue, owner: Owner, latency: str) -> None:
    """This holds for the newest histogram too."""
    good, odd = a_worker("good"), a_worker("odd")
    histogram: Json = {"bounds_seconds": [1, 2], "counts": [1, 2, 3], "sum_seconds": 4}
    for one in (good, odd):
        register(queue, one)
        queue.heartbeat(one, 1, {"latency": histogram})
    owner.execute("update public.worker_metrics set latency = %s where worker_id = 'odd'", (latency,))
    assert transport.call("worker_totals", {})["latency"] == histogram


def _written_past(owner: Owner, payload: str) -> UUID:
    query = "insert into public.jobs (type, payload) values ('browser', %s::jsonb) returning id"
    found = owner.execute(query, (payload,)).fetchone()
    assert found is not None
    id: UUID = found[0]
    return id


def _claim_blindly(owner: Owner, claim_id: UUID) -> None:
    claim = 'select from public.claim_jobs(%s, \'[{"family": "browser", "max_jobs": 9}]\', \'worker\')'
    owner.execute(claim.encode(), (claim_id,))


def _one_of_each(transport: Transport, queue: Queue) -> None:
    """Create jobs of every status, a dead-lettered job, a worker, an artifact and a gate run."""
    worker = a_worker()
    register(queue, worker)
    queue.heartbeat(worker, 1, {})
    failed_job(queue)
    settle(queue, running_job(queue))
    running = running_job(queue)
    file: Json = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    [row] = queue.create_artifacts(running, [file])
    queue.finish_artifacts(running, [row.artifact_id])
    record(transport)
    add(queue)


@contextmanager
def _without_checks(owner: Owner) -> Iterator[None]:
    """Let the owner write rows as before the checks existed."""
    checks = owner.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace and conname ~ '_(dates|numbers)_known$'"
    ).fetchall()
    for table, name, _ in checks:
        owner.execute(f"alter table {table} drop constraint {name}".encode())
    try:
        yield
    finally:
        for table, name, definition in checks:
            owner.execute(f"delete from {table}; alter table {table} add constraint {name} {definition}".encode())
