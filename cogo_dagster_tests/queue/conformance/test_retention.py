"""Old rows are deleted after their retention periods, and no others."""

from typing import Any

import pytest

from cogo_dagster.queue.bulk_actions import plan
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import a_worker, register, running_job

METRICS: Json = {"counters": {"succeeded": 3}, "latency": {"bounds_seconds": [1], "counts": [3, 0], "sum_seconds": 1.5}}

OUTAGE: Json = {
    "outage_id": "00000000-0000-0000-0000-000000000001",
    "host": "h",
    "started_seconds_ago": 9,
    "ended_seconds_ago": 1,
    "error_message": "x",
}

DAYS: dict[str, float | None] = {
    "workers": 30,
    "heartbeats": 1,
    "operations": 400,
    "dead_letters": 180,
    "alerts": 90,
    "numbers": 400,
    "measures": 8,
    "deduplication": 8,
    "gate_runs": 400,
    "expired_artifacts": 365,
}


def rows(owner: Owner, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    return owner.execute(query.encode()).fetchall()


def test_workers_that_stopped_or_are_silent_are_deleted(queue: Queue, transport: Transport, owner: Owner) -> None:
    """Their counters stay in the totals; a live one, and a silent one with a running job, stay."""
    workers = {name: a_worker(name) for name in ("stopped", "silent", "busy", "alive")}
    for worker in workers.values():
        register(queue, worker)
        queue.heartbeat(worker, 0, METRICS)
    job = running_job(queue)
    queue.stop_worker(workers["stopped"])
    owner.execute(
        "update public.workers set last_heartbeat_at = now() - interval '40 days', "
        "stopped_at = stopped_at - interval '40 days' where worker_id <> 'alive'"
    )
    owner.execute("update public.worker_devices set last_seen_at = now() - interval '40 days'")
    owner.execute("update public.jobs set instance_id = %s where id = %s", (workers["busy"].instance_id, job.id))
    before = transport.call("worker_totals", {})

    assert queue.delete_old_rows(DAYS)["workers"] == 2
    assert rows(owner, "select worker_id from public.workers order by 1") == [("alive",), ("busy",)]
    assert rows(owner, "select worker_id from public.worker_devices order by 1") == [("alive",), ("busy",)]
    assert transport.call("worker_totals", {}) == before
    assert queue.delete_old_rows(DAYS)["workers"] == 0
    assert transport.call("worker_totals", {}) == before


def test_executor_ids_and_silences_of_the_past_are_deleted(queue: Queue, transport: Transport, owner: Owner) -> None:
    """An executor ID goes when no worker registered it for as long; a silence when it ended that long ago."""
    for name in ("gone", "kept"):
        register(queue, a_worker(name, executor_id=name))
    owner.execute("update public.executors set last_seen_at = now() - interval '31 days' where id = 'gone'")
    for days in (1, 91):
        owner.execute(
            "insert into public.alert_silences (id, kind, author, ends_at) "
            "values (gen_random_uuid(), 'worker_dead', 'me', now() - make_interval(days => %s))",
            (days,),
        )
    deleted = queue.delete_old_rows(DAYS)
    assert (deleted["executors"], deleted["alert_silences"]) == (1, 1)
    assert rows(owner, "select id from public.executors") == [("kept",)]
    assert rows(owner, "select count(*) from public.alert_silences") == [(1,)]


def test_heartbeats_of_a_name_that_never_returns_are_deleted(queue: Queue, owner: Owner) -> None:
    """A worker deletes only those of its own name."""
    worker = a_worker("pod-1")
    register(queue, worker)
    queue.heartbeat(worker, 0, METRICS)
    owner.execute("update public.worker_heartbeats set created_at = now() - interval '2 days'")
    assert queue.delete_old_rows(DAYS)["worker_heartbeats"] == 1
    assert rows(owner, "select count(*) from public.worker_heartbeats") == [(0,)]


def test_open_dead_lettered_jobs_are_kept(queue: Queue, owner: Owner) -> None:
    """Only those that were replayed, retried or discarded are deleted."""
    for _ in range(3):
        failed_job(queue)
    owner.execute("update public.jobs_dlq set failed_at = now() - interval '200 days'")
    owner.execute(
        "update public.jobs_dlq set closed_at = now() where job_id = (select job_id from public.jobs_dlq limit 1)"
    )
    assert queue.delete_old_rows(DAYS)["jobs_dlq"] == 1
    assert rows(owner, "select closed_at from public.jobs_dlq") == [(None,), (None,)]


def test_logs_numbers_and_expired_artifacts(queue: Queue, transport: Transport, owner: Owner) -> None:
    """The object of an artifact is deleted with its row by the sweeper; without a period it is kept."""
    queue.pause("type", "browser", actor="me")
    owner.execute("update public.operations_log set created_at = now() - interval '401 days'")
    owner.execute(
        "insert into public.job_periods values (now() - interval '401 days', 0, '[]', '{}', '{}', '[]'), "
        "(now() - interval '399 days', 0, '[]', '{}', '{}', '[]')"
    )
    owner.execute(
        "insert into public.artifacts (name, content_type, size_bytes, sha256, storage_key, status, created_at) "
        "values ('a', 'text/plain', 1, repeat('0', 64), 'reports/a', 'expired', now() - interval '366 days')"
    )
    kept = queue.delete_old_rows({**DAYS, "expired_artifacts": None})
    assert (kept["operations_log"], kept["job_periods"], kept["artifacts"]) == (1, 1, 0)
    assert queue.delete_old_rows(DAYS)["artifacts"] == 1
    assert rows(owner, "select status from public.artifacts") == [("orphaned",)]


def test_alerts_that_do_not_fire_are_deleted_with_their_deliveries(
    queue: Queue, transport: Transport, owner: Owner
) -> None:
    """One that fires stays, however old it is."""
    for _ in range(2):
        failed_job(queue)
    targets: Json = [{"target": "slack", "address_digest": "0" * 64}]
    transport.call("evaluate_alerts", {"targets": targets})
    transport.call("record_outage", OUTAGE)
    owner.execute("update public.alerts set first_seen_at = now() - interval '91 days'")
    owner.execute("update public.alerts set last_seen_at = now() - interval '91 days'")
    before = rows(owner, "select status, count(*) from public.alerts group by 1 order by 1")
    assert ("firing", 1) in before
    deleted = queue.delete_old_rows(DAYS)
    assert deleted["alerts"] == sum(n for status, n in before if status != "firing") > 0
    assert rows(owner, "select distinct status from public.alerts") == [("firing",)]
    orphans = "select count(*) from public.alert_deliveries d where d.alert_id not in (select id from public.alerts)"
    assert rows(owner, orphans) == [(0,)]


def test_more_rows_than_a_batch_are_all_deleted(queue: Queue, transport: Transport, owner: Owner) -> None:
    """A call deletes a batch, and the client calls until nothing is left."""
    owner.execute(
        "insert into public.workers (worker_id, families, started_at, last_heartbeat_at, stopped_at) "
        "select 'w' || n, '{browser}', at, at, at from generate_series(1, 2500) n, "
        "lateral (select now() - interval '40 days') as t (at)"
    )
    owner.execute(
        "insert into public.worker_metrics (instance_id, worker_id, counters, latency) "
        """select instance_id, worker_id, '{"claimed": 2}', '{}' from public.workers"""
    )
    first = transport.call("delete_old_rows", {"days": {"workers": 30}})
    assert (first["deleted"]["workers"], first["more"]) == (1000, True)
    assert queue.delete_old_rows(DAYS)["workers"] == 1500
    assert transport.call("worker_totals", {})["counters"] == {"claimed": 5000}


def test_measures_are_deleted_after_their_period(queue: Queue, transport: Transport, owner: Owner) -> None:
    """Storing newer ones deletes none, and those of the last eight days are needed."""
    for days in (7, 9):
        owner.execute(
            "insert into public.job_measures (hours, starts_at, run_family, run_us, run_n, wait_us, wait_n, errors) "
            "values (0, now() - make_interval(days => %s), '{}', '{}', '{}', '{}', '{}', '[]')",
            (days,),
        )
    queue.roll_up()
    assert queue.delete_old_rows({**DAYS, "measures": 10})["job_measures"] == 0
    assert queue.delete_old_rows(DAYS)["job_measures"] == 1
    with pytest.raises(InvalidArgument, match="at least 8 days"):
        transport.call("delete_old_rows", {"days": {"measures": 7}})


def test_records_that_prevent_repetition_are_deleted(queue: Queue, transport: Transport, owner: Owner) -> None:
    """A claim is never repeated after a week; gate runs and silent workers are alerted within one."""
    for days in (7, 9):
        owner.execute(
            "insert into public.ended_claims (claim_id, ended_at) "
            "values (gen_random_uuid(), now() - make_interval(days => %s))",
            (days,),
        )
        owner.execute(
            "insert into public.alert_promotions (source, key, promoted_at) "
            "select s, gen_random_uuid(), now() - make_interval(days => %s) "
            "from unnest('{gate_runs,workers}'::text[]) s",
            (days,),
        )
    transport.call("evaluate_alerts", {"targets": []})
    queue.recover()
    assert queue.delete_old_rows(dict.fromkeys(DAYS))["ended_claims"] == 0
    deleted = queue.delete_old_rows(DAYS)
    assert (deleted["ended_claims"], deleted["alert_promotions"]) == (1, 2)
    assert rows(owner, "select count(*) from public.ended_claims") == [(1,)]
    with pytest.raises(InvalidArgument, match="at least 8 days"):
        transport.call("delete_old_rows", {"days": {"deduplication": 1}})


def test_gate_runs_and_their_summaries_are_deleted(queue: Queue, owner: Owner) -> None:
    """With a period; without one they are kept."""
    for days in (399, 401):
        owner.execute(
            "insert into public.gate_runs (id, type, status, branch, commit_sha, created_at) "
            "values (gen_random_uuid(), 'gate', 'pass', 'main', 'a', now() - make_interval(days => %s))",
            (days,),
        )
        for table, kind in (("gate_snapshots", ("kind, ", "'daily', ")), ("weekly_summaries", ("", ""))):
            owner.execute(
                f"insert into public.{table} ({kind[0]}branch, window_start, window_end, numbers, sources, complete, "
                f"computed_at) values ({kind[1]}'main', now() - make_interval(days => {days + 1}), "
                f"now() - make_interval(days => {days}), '{{}}', '{{}}', true, now())".encode()
            )
    tables = ("gate_runs", "gate_snapshots", "weekly_summaries")
    kept = queue.delete_old_rows({**DAYS, "gate_runs": None})
    assert [kept[table] for table in tables] == [0, 0, 0]
    deleted = queue.delete_old_rows(DAYS)
    assert [deleted[table] for table in tables] == [1, 1, 1]
    for table in tables:
        assert rows(owner, f"select count(*) from public.{table}") == [(1,)]


@pytest.mark.parametrize("days", [{"jobs": 1}, {"workers": 0}, {"workers": "1"}, [], None])
def test_invalid_periods_are_rejected(transport: Transport, days: Json) -> None:
    """Nothing is deleted."""
    with pytest.raises(InvalidArgument, match="days must be an object"):
        transport.call("delete_old_rows", {"days": days})


def test_old_bulk_actions_are_deleted_with_their_jobs(queue: Queue, owner: Owner) -> None:
    """As the operations log; a newer one stays."""
    job = {"id": str(failed_job(queue))}
    old, new = (plan(queue, "retry", [job], "me").id for _ in range(2))
    owner.execute("update public.bulk_actions set created_at = now() - interval '401 days' where id = %s", (old,))
    deleted = queue.delete_old_rows(DAYS)
    assert (deleted["bulk_actions"], deleted["bulk_action_jobs"]) == (1, 1)
    assert [action.id for action in queue.list_actions()] == [new]
    assert queue.delete_old_rows(dict.fromkeys(DAYS))["bulk_actions"] == 0
