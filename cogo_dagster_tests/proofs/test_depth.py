"""Pages, sensors and scrapes do not read the history: 150,000 finished jobs, most of them in stored periods."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString

import psycopg
import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster_tests.proofs.plans import Explained, Explainer, open_explainer
from cogo_dagster_tests.servers import Major, TestServer

ROWS: Final = 150_000
DAYS: Final = 8
SAME_TIME: Final = 20_000
WORKERS: Final = 5_000
BATCH: Final = 50

RECENT: Final = ROWS // (DAYS * 24)
"""Jobs of an hour: more than finished since the last stored period."""

_FILL: Final[LiteralString] = """
    insert into public.jobs (id, type, status, attempts, next_run_at, claimed_at, finished_at, run_seconds, lease_token,
                             error)
    select lpad(to_hex(n), 32, '0')::uuid, 'browser', case when n % 25 = 0 then 'failed' else 'succeeded' end, 1,
           at - interval '3 s', at - interval '2 s', at, 2, md5(n::text)::uuid,
           case when n % 25 = 0 then '{{"class": "timeout", "message": "It did not load."}}'::jsonb end
    from generate_series(1, {rows}) n,
         lateral (select now() - interval '1 day' * {days} * ({rows} - n) / {rows}) as t (at);
    insert into public.jobs (id, type, status, attempts, next_run_at, claimed_at, finished_at, lease_token)
    select md5(n::text)::uuid, 'browser', 'succeeded', 1, '2026-01-01', '2026-01-01', '2026-01-01', md5(n::text)::uuid
    from generate_series(1, {same}) n;
    insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at, stopped_at)
    select 'w' || n, '{{browser}}', 4, at, at, at
    from generate_series(1, {workers}) n, lateral (select now() - interval '30 days') as t (at);
    insert into public.worker_metrics (instance_id, worker_id, counters, latency)
    select instance_id, worker_id, '{{"claimed": 2}}',
           '{{"bounds_seconds": [1], "counts": [1, 1], "sum_seconds": 2}}' from public.workers;
    insert into public.job_period_marks values (now(), '3');
    alter function cogo_internal.job_numbers set plan_cache_mode = force_generic_plan;
    alter function cogo_internal.measure_jobs set plan_cache_mode = force_generic_plan;
    select public.roll_up_jobs(600);
    select public.roll_up_jobs(0) from generate_series(1, 4);
    alter function cogo_internal.job_numbers set plan_cache_mode = force_custom_plan;
    alter function cogo_internal.measure_jobs set plan_cache_mode = force_custom_plan;
    vacuum analyze public.jobs;
    vacuum analyze public.worker_metrics;
    vacuum analyze public.job_periods;
    vacuum analyze public.job_period_sums
"""
"""To plan the numbers of 1,150 periods once takes a third of the time."""


def fill(dsn: str) -> None:
    """Fill a database."""
    statements = _FILL.format(rows=ROWS, days=DAYS, same=SAME_TIME, workers=WORKERS)
    with psycopg.connect(dsn, autocommit=True) as owner:
        for statement in statements.split(";\n"):
            owner.execute(statement.encode())


@pytest.fixture(scope="module", params=[15, 18], ids=["pg15", "pg18"])
def explainer(request: pytest.FixtureRequest, servers: Callable[[Major], TestServer]) -> Iterator[Explainer]:
    """Fill a database, and yield a session on it for the tests of this module."""
    with servers(request.param).clone("migrated") as dsn:
        fill(dsn)
        with open_explainer(dsn) as opened:
            yield opened


def read(call: Explained, table: str = "jobs") -> float:
    """Return the number of rows that were read from a table by indexes; no scan of a whole table is accepted."""
    scans = call.reads(table)
    for scan in scans:
        assert {step.index for step in scan.walk() if step.index}, f"{scan.kind} of {table} when {call.mode}"
    return sum(scan.rows for scan in scans)


def test_the_numbers_of_a_week_read_the_rows_of_its_edges(explainer: Explainer) -> None:
    """Two reads of a row: one to count it, one for its wait."""
    end = datetime.now(UTC)
    window: dict[str, Json] = {"window_start": (end - timedelta(days=7)).isoformat(), "window_end": end.isoformat()}
    for call in explainer.call("gate_summary", **window):
        jobs = call.answer["jobs"]
        assert jobs["succeeded"] + jobs["failed"] == pytest.approx(ROWS * 7 / DAYS, abs=RECENT)
        assert read(call) <= 3 * RECENT
        assert call.blocks <= 6 * RECENT


def test_the_count_of_the_last_day_reads_the_last_minutes(explainer: Explainer) -> None:
    """The failed jobs of the day are counted from their rows, since a retry takes them away."""
    for call in explainer.call("queue_stats"):
        day = ROWS / DAYS
        assert call.answer["succeeded_24h"] == pytest.approx(day * 0.96, rel=0.01)
        assert read(call) <= 2 * RECENT + day * 0.04 + BATCH


def test_the_history_of_a_day_reads_the_last_minutes(explainer: Explainer) -> None:
    """All jobs and their durations are counted, from stored numbers: two reads of a row that is not in them yet."""
    for call in explainer.call("job_history"):
        hours = call.answer["hours"]
        assert sum(hour["succeeded"] for hour in hours) == pytest.approx(ROWS / DAYS * 0.96, rel=0.05)
        assert sum(hour["failed"] for hour in hours) == pytest.approx(ROWS / DAYS * 0.04, rel=0.05)
        assert read(call) <= 2 * RECENT
        assert call.answer["run_seconds"] == {"p50": 2, "p95": 2}
        assert call.answer["complete"] is True


@pytest.mark.parametrize("function", ["gate_summary", "job_history", "queue_stats"])
def test_failed_jobs_of_a_time_are_read_from_their_place_in_the_index(explainer: Explainer, function: str) -> None:
    """Each status by itself: with both in one condition, the whole index of failed and cancelled jobs is read."""
    for call in explainer.call(function):
        scans = [scan for scan in call.reads("jobs") if scan.index == "jobs_unsuccessful_finished"]
        assert scans
        for scan in scans:
            assert scan.blocks <= 2 * scan.rows + 10


def test_failed_jobs_are_filtered_without_their_rows(explainer: Explainer) -> None:
    """The index has the columns of the filters; 5,000 of its entries are read, and as many for the notice."""
    for call in explainer.call("list_jobs", statuses=["failed"], type_prefix="none"):
        assert call.answer == []
        assert read(call) <= 2 * 5_000 + BATCH
        assert call.blocks <= 1_000


def test_the_families_of_a_week_are_found_without_its_workers(explainer: Explainer) -> None:
    """One step through the index for each set of families."""
    launched = (
        "insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at, dagster_run_id) "
        "select 'w', (case when n = 1 then '{figma}' else '{browser}' end)::text[], 4, at, at, n::text "
        "from generate_series(1, 9000) n, lateral (select now() - (9001 - n) * interval '1 min') as t (at); "
        "analyze public.workers"
    )
    with explainer.filled(launched):
        for call in explainer.call("registered_families"):
            assert {row["family"]: row["newer"] for row in call.answer} == {"browser": 0, "figma": 5_000}
            assert read(call, "workers") <= 5_000 + BATCH


def test_the_history_by_type_reads_the_last_minutes(explainer: Explainer) -> None:
    """All jobs are counted from stored numbers, whatever their type."""
    for call in explainer.call("job_history_by_type"):
        counts = [sum(row["counts"]) for row in call.answer["types"]]
        assert sum(counts) == pytest.approx(ROWS / DAYS, rel=0.05)
        assert read(call) <= 2 * RECENT


def test_live_workers_are_listed_without_the_others(explainer: Explainer) -> None:
    """Sensors list them every few seconds."""
    for call in explainer.call("list_workers", alive_only=True):
        assert read(call, "workers") == 0


def test_a_page_of_artifacts_reads_its_rows(explainer: Explainer) -> None:
    """Each status is read by its own index."""
    fill_artifacts = (
        "insert into public.artifacts (name, content_type, size_bytes, sha256, storage_key, status, created_at) "
        "select 'a', 'image/png', 1, repeat('0', 64), 'jobs/' || n, "
        "(array['ready', 'pending', 'orphaned', 'expired'])[1 + n % 4], now() - interval '1 s' * n "
        "from generate_series(1, 20000) n; analyze public.artifacts"
    )
    with explainer.filled(fill_artifacts):
        for call in explainer.call("list_artifacts", max_artifacts=BATCH):
            assert len(call.answer) == BATCH
            assert read(call, "artifacts") <= 8 * BATCH


@pytest.mark.parametrize("status", ["failed", "cancelled", "running"])
def test_a_list_of_a_status_reads_its_page(explainer: Explainer, status: str) -> None:
    """The jobs before them are not read."""
    for call in explainer.call("list_jobs", statuses=[status], max_jobs=BATCH):
        assert read(call) <= BATCH


def test_a_lane_is_counted_up_to_its_limit(explainer: Explainer) -> None:
    """Its priorities are counted in turn, and the first job of each is found: the oldest may have any priority."""
    fill_lane = (
        "insert into public.jobs (type, priority, next_run_at) "
        "select 'browser', n % 10, now() - interval '1 hour' * (1 + n % 10) from generate_series(1, 12000) n"
    )
    with explainer.filled(fill_lane):
        for call in explainer.call("queue_stats"):
            assert call.answer["ready_by_family"] == {"browser": 10_000}
            assert call.answer["oldest_ready_seconds"] == pytest.approx(36_000, abs=60)
            assert sum(scan.rows for scan in call.reads("jobs") if scan.index == "jobs_claim_lane") <= 10_000 + BATCH
        for call in explainer.call("explain_queue"):
            [reason] = call.answer["reasons"]
            assert reason["count"] == 10_000
            assert reason["oldest_seconds"] == pytest.approx(36_000, abs=60)
            assert read(call) <= 10_000 + BATCH


def test_a_list_that_no_job_matches_stops_at_its_limit(explainer: Explainer) -> None:
    """The newest 100,000 jobs are read, and the keys of as many for the notice that the list is incomplete."""
    for call in explainer.call("list_jobs", type_prefix="none"):
        assert call.answer == []
        assert read(call) <= 2 * 100_000 + BATCH
    for call in explainer.call("list_jobs", statuses=["queued"], type_prefix="none"):
        assert call.answer == []
        assert read(call) <= BATCH


def test_a_search_for_what_does_not_exist_stops_at_its_limit(explainer: Explainer) -> None:
    """Both the search and the position where it stopped read 10,000 jobs."""
    for call in explainer.call("search_jobs", type_prefix="none"):
        assert call.answer["jobs"] == []
        assert read(call) <= 2 * 10_000 + BATCH


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_purge_of_jobs_that_finished_together_reads_its_batch(explainer: Explainer, dry_run: bool) -> None:
    """The index has the ID after the time, so that a page begins where the last one ended."""
    given: dict[str, Json] = {"older_than_days": 30, "batch_size": BATCH, "dry_run": dry_run}
    after: Json = {"at": "2026-01-01T00:00:00+00:00", "id": "80000000-0000-0000-0000-000000000000"}
    for call in explainer.call("purge_jobs", **given, **({"after": after} if dry_run else {})):
        assert call.answer["matched"] >= BATCH
        assert read(call) <= 3 * (BATCH + 1)


def test_totals_do_not_read_the_workers_that_stopped(explainer: Explainer) -> None:
    """Their counters have been added up."""
    for call in explainer.call("worker_totals"):
        assert call.answer["counters"] == {"claimed": 2 * WORKERS}
        assert call.answer["latency"] == {
            "bounds_seconds": [1],
            "counts": [WORKERS, WORKERS],
            "sum_seconds": 2 * WORKERS,
        }
        assert read(call, "worker_metrics") == 0


def test_workers_alive_are_counted_without_the_others(explainer: Explainer) -> None:
    """The index of instances that have not stopped is read."""
    for call in explainer.call("queue_stats"):
        assert read(call, "workers") == 0


def test_a_silent_worker_is_found_without_the_earlier_workers_of_its_name(explainer: Explainer) -> None:
    """Runs of one machine have the same worker ID: those that stopped before are not read for the silent one."""
    one_name = (
        "insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at, stopped_at) "
        "select 'one', '{browser}', 4, at, at, case when n > 1 then at end "
        "from generate_series(1, 9000) n, lateral (select now() - n * interval '10 min') as t (at); "
        "analyze public.workers"
    )
    with explainer.filled(one_name):
        for call in explainer.call("health_facts"):
            assert call.answer["silent_workers"] == ["one"]
            assert read(call, "workers") <= BATCH
