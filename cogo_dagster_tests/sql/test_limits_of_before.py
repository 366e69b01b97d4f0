"""Migration of a database from before the limits: it brings values into range and keeps every row."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import migrate, migrations, status
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, settle, take
from cogo_dagster_tests.servers import TestServer

ADDED = "unexpected_failures"

ODD_ROWS = """
insert into public.jobs (type, status, created_at, next_run_at, timeout_seconds, snoozes) values
    ('browser', 'queued', '-infinity', now(), 'NaN', -3), ('browser', 'queued', now(), 'infinity', 1e9, 0),
    ('browser', 'queued', '0300-01-01 BC', '11026-01-01', -1, 0), ('browser', 'queued', now(), now(), 30, 2);
insert into public.jobs (type, status, finished_at, run_seconds) values
    ('browser', 'succeeded', 'infinity', 'Infinity'), ('browser', 'failed', '-infinity', 'NaN');
insert into public.jobs_dlq (job_id, type, failed_at) values (gen_random_uuid(), 'browser', 'infinity');
insert into public.job_attempts (job_id, lease_token, attempt, outcome, finished_at)
    values (gen_random_uuid(), gen_random_uuid(), 1, 'lost', 'infinity');
insert into public.workers (worker_id, heartbeat_seconds, concurrency, running, started_at, last_heartbeat_at)
    values ('odd', 'Infinity', -1, -1, '-infinity', 'infinity');
insert into public.artifacts (status, created_at, size_bytes, name) values ('ready', 'infinity', -1, 'odd');
insert into public.gate_runs (id, type, status, branch, commit_sha, created_at, coverage_percent, lint_errors)
    values (gen_random_uuid(), 'gate', 'pass', 'main', 'abcdef0', 'infinity', 'NaN', -1);
"""
TABLES = ("jobs", "jobs_dlq", "job_attempts", "workers", "artifacts", "gate_runs")


@pytest.fixture
def before(server: TestServer) -> Iterator[Owner]:
    """Connect to a database from before the migration that adds the limits, with rows out of range."""
    server.template("before_limits", _build)
    with server.clone("before_limits") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """Yield the URL of a copy of that database after the migration."""
    server.template("before_limits", _build)
    server.template("after_limits", migrate, based_on="before_limits")
    with server.clone("after_limits") as dsn:
        yield dsn


def _build(dsn: str) -> None:
    names = [migration.name for migration in migrations()]
    earlier = migrations()[: names.index(ADDED)]
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(
            "create schema supabase_migrations; create table supabase_migrations.schema_migrations"
            " (version text primary key, statements text[], name text)"
        )
        with owner.transaction():
            for migration in earlier:
                owner.execute(migration.statements.encode())
                owner.execute(
                    "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)",
                    (migration.version, migration.name),
                )
        owner.execute(ODD_ROWS.encode())


def test_values_are_brought_into_range_and_every_row_stays(before: Owner, dsn: str, owner: Owner) -> None:
    """Infinite due times become times more than 1,000 years ahead, and values in range stay."""
    assert status(dsn).current
    assert _counts(owner) == _counts(before)
    never = "select count(*) from public.jobs where status = 'queued' and next_run_at > now() + interval '1000 years'"
    assert owner.execute(never).fetchone() == (2,)
    kept = owner.execute(
        "select timeout_seconds, snoozes from public.jobs where status = 'queued' order by snoozes desc"
    )
    assert kept.fetchall()[0] == (30, 2)


def test_the_queue_works_on_old_rows(owner: Owner, queue: Queue, transport: Transport) -> None:
    """No claim, settlement, retry or list fails on a row that was out of range."""
    owner.execute("update public.jobs set next_run_at = now() where status = 'queued'")
    added = add(queue)
    jobs = take(queue)
    assert len(jobs) == 5
    assert added in {job.id for job in jobs}
    for job in jobs:
        assert settle(queue, job).status == "ok"
    for function in ("list_jobs", "list_dlq", "list_workers", "list_artifacts", "queue_numbers", "job_history"):
        transport.call(function, {})
    assert transport.call("retry_failed", {"dry_run": False})["changed"] == 1
    assert transport.call("purge_jobs", {"dry_run": False, "older_than_days": 0})["changed"] == 5


def test_constraints_are_added_without_a_scan(owner: Owner) -> None:
    """They are not validated, so the migration takes no longer on large tables."""
    added = "select count(*) from pg_constraint where conname ~ '_(dates|numbers)_known$' and convalidated"
    assert owner.execute(added).fetchone() == (0,)


def _counts(owner: Owner) -> dict[str, Any]:
    return {table: owner.execute(f"select count(*) from public.{table}".encode()).fetchone() for table in TABLES}
