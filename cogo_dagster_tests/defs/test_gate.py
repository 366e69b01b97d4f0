"""The gate's assets, checks and schedules, on a month of history."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cogo_dagster.bootstrap import open_application
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.quality.assets import DAYS, WEEKS, gate_snapshot, provider_health, weekly_message, weekly_summary
from cogo_dagster.defs.quality.schedules import missing, nightly_gate_snapshot, weekly_enqueue
from cogo_dagster.defs.queue.checks import dlq_depth, lease_losses, oldest_queued_age
from cogo_dagster.quality.weeks import week_of
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.stats import DatabaseHealth
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import load_settings
from cogo_dagster.supervision import health_checks
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.quality.history import History, Run, a_month, same, shape
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.rows import queue_stats

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
GRAPH = [
    ["queue", "pages"],
    ["queue", "jobs"],
    ["queue", "artifacts"],
    ["quality", "gate_runs"],
    ["gate_snapshot"],
    ["weekly_summary"],
    ["weekly_message"],
]


class Launcher:
    """Runs the gate's Dagster jobs in this process."""

    def __init__(self, instance: dg.DagsterInstance, cogo: CogoResource) -> None:
        self.instance, self._cogo = instance, cogo

    def run(self, name: str, first: str | None = None, last: str | None = None) -> dg.ExecuteInProcessResult:
        """Run one, for a partition or a range of them."""
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
        return defs.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            resources={"cogo": self._cogo},
            partition_key=None if last else first,
            tags={name: value or "" for name, value in span.items()},
            raise_on_error=False,
        )

    def shown(self, key: dg.AssetKey, partition: str | None = None) -> dict[str, Any]:
        """Return the metadata of the newest materialization."""
        partitions = [partition] if partition else None
        filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions)
        [record] = self.instance.fetch_materializations(filters, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


@pytest.fixture
def launcher(instance: dg.DagsterInstance, cogo: CogoResource) -> Launcher:
    """Launch on the test's database."""
    return Launcher(instance, cogo)


def a_day(count: int, passed: int, day: datetime = MONDAY) -> History:
    """Return a day of gate runs."""
    statuses = ["pass"] * passed + ["fail"] * (count - passed)
    return History(
        runs=[Run("gate", status, "main", day + timedelta(hours=i + 1)) for i, status in enumerate(statuses)]
    )


def verdicts(result: dg.ExecuteInProcessResult) -> list[tuple[bool, str]]:
    """Return what the checks said: passed, and how bad."""
    return [(one.passed, one.severity.value) for one in result.get_asset_check_evaluations()]


def test_a_month_is_backfilled_in_one_run(launcher: Launcher, owner: Owner, transport: Transport) -> None:
    """Each day has numbers of its own, as an independent computation has them; a second run changes no byte."""
    month = a_month(MONDAY)
    month.write(owner)
    assert launcher.run("snapshot_gate", "2026-10-05", "2026-11-03").success
    stored = transport.call("list_gate_snapshots", {"max_snapshots": 100})
    assert len(stored) == 30
    for day, row in enumerate(reversed(stored)):
        start = MONDAY + timedelta(days=day)
        expected = month.numbers(start, start + timedelta(days=1))
        assert same(shape(row["numbers"]), expected)
        shown = launcher.shown(gate_snapshot.key, f"{start:%Y-%m-%d}")
        assert shown.get("pass_rate") == expected["gate"]["pass_rate"]
        assert shown["jobs_succeeded"] == expected["jobs"]["succeeded"]
    assert launcher.run("snapshot_gate", "2026-10-05", "2026-11-03").success
    assert transport.call("list_gate_snapshots", {"max_snapshots": 100}) == stored
    assert launcher.shown(gate_snapshot.key, "2026-10-05")["outcome"] == "unchanged"


def test_a_day_shows_numbers_a_table_and_words(launcher: Launcher, owner: Owner) -> None:
    """Numbers plot in the UI, tables have columns, the words are markdown."""
    a_month(MONDAY, days=1).write(owner)
    launcher.run("snapshot_gate", "2026-10-05")
    shown = launcher.shown(gate_snapshot.key, "2026-10-05")
    assert isinstance(shown["pass_rate"], float)
    assert isinstance(shown["jobs_failed"], int)
    assert shown["summary"].startswith("## 2026-10-05\n")


@pytest.mark.parametrize(
    ("count", "passed", "expected"), [(5, 5, (True, "WARN")), (5, 1, (False, "ERROR")), (4, 4, (False, "WARN"))]
)
def test_the_check_is_green_red_or_not_computed(
    launcher: Launcher, owner: Owner, count: int, passed: int, expected: tuple[bool, str]
) -> None:
    """A red one blocks: the run fails, though the day is kept; too little data never passes."""
    a_day(count, passed).write(owner)
    result = launcher.run("snapshot_gate", "2026-10-05")
    assert verdicts(result) == [expected]
    assert result.success is (expected[1] != "ERROR")
    assert launcher.shown(gate_snapshot.key, "2026-10-05")["gate_runs"] == count


def test_a_red_day_of_the_past_blocks_nothing(launcher: Launcher, owner: Owner) -> None:
    """A backfill does not fail because the gate once did."""
    a_day(5, 1).write(owner)
    a_day(5, 5, MONDAY + timedelta(days=1)).write(owner)
    assert launcher.run("snapshot_gate", "2026-10-06").success
    past = launcher.run("snapshot_gate", "2026-10-05")
    assert (past.success, verdicts(past)) == (True, [(False, "WARN")])


def test_a_week_is_kept_and_its_message_enqueued_once(launcher: Launcher, owner: Owner, queue: Queue) -> None:
    """However often the week is made."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday() + 7)
    a_month(monday - timedelta(days=7), days=14).write(owner)
    for _ in range(2):
        assert launcher.run("summarize_week", f"{monday:%Y-%m-%d}").success
    [job] = queue.list_jobs(type_prefix="weekly_summary")
    week = week_of(monday)
    assert job.document["idempotency_key"] == f"weekly:{week}"
    assert launcher.shown(weekly_message.key, f"{monday:%Y-%m-%d}")["created"] is False
    shown = launcher.shown(weekly_summary.key, f"{monday:%Y-%m-%d}")
    assert shown["summary"].startswith(f"## Week {week}")
    assert shown["change_jobs_succeeded"] == shown["jobs_succeeded"] - shown["json"]["last_week"]["jobs"]["succeeded"]
    assert shown["chart"].startswith(f"![Week {week}](data:image/svg+xml;base64,")


def test_history_is_kept_and_not_sent(launcher: Launcher, queue: Queue) -> None:
    """A backfill of old weeks bothers nobody."""
    assert launcher.run("summarize_week", "2026-10-05", "2026-10-19").success
    assert queue.list_jobs() == []
    assert launcher.shown(weekly_message.key, "2026-10-12") == {"week": "2026-W42", "history": True}


def test_the_graph_leads_from_pages_to_the_message() -> None:
    """URL → screenshot → gate run → snapshot → weekly summary."""
    graph = defs.resolve_asset_graph()
    for upper, lower in pairwise(GRAPH):
        assert dg.AssetKey(upper) in graph.get(dg.AssetKey(lower)).parent_keys, (upper, lower)


@pytest.fixture
def kept_instance(tmp_path: Path) -> dg.DagsterInstance:
    """Keep runs and events on disk, as schedules need it."""
    return dg.DagsterInstance.local_temp(str(tmp_path))


def test_the_schedules_ask_at_the_runbooks_times(kept_instance: dg.DagsterInstance) -> None:
    """02:00 for yesterday, Monday 02:05 for last week, in UTC, running from the start."""
    assert (nightly_gate_snapshot.cron_schedule, weekly_enqueue.cron_schedule) == ("0 2 * * *", "5 2 * * 1")
    for schedule in (nightly_gate_snapshot, weekly_enqueue):
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert asked(nightly_gate_snapshot, kept_instance, datetime(2026, 11, 24, 2, tzinfo=UTC)) == ["2026-11-23"]
    assert asked(weekly_enqueue, kept_instance, datetime(2026, 11, 23, 2, 5, tzinfo=UTC)) == ["2026-11-16"]


def test_a_missed_tick_is_caught_up(kept_instance: dg.DagsterInstance) -> None:
    """The days since the first one that was made, and no history from before."""
    for day in ("2026-11-18", "2026-11-20"):
        kept_instance.report_runless_asset_event(dg.AssetMaterialization(gate_snapshot.key, partition=day))
    days = asked(nightly_gate_snapshot, kept_instance, datetime(2026, 11, 24, 2, tzinfo=UTC))
    assert days == ["2026-11-19", "2026-11-21", "2026-11-22", "2026-11-23"]
    assert missing(["a", "b"], ["a", "b"]) == ["b"]


def asked(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime) -> list[str]:
    """Return the partitions a tick asks for."""
    repository = defs.get_repository_def()
    context = dg.build_schedule_context(instance, scheduled_execution_time=at, repository_def=repository)
    found = schedule.evaluate_tick(context).run_requests or []
    return [request.partition_key or "" for request in found]


def test_the_partitions_are_utc_days_and_iso_weeks() -> None:
    """A week begins on Monday."""
    assert DAYS.get_partition_keys(datetime(2026, 11, 24, 0, 1, tzinfo=UTC))[-1] == "2026-11-23"
    assert WEEKS.get_partition_keys(datetime(2026, 11, 23, 0, 1, tzinfo=UTC))[-1] == "2026-11-16"


def test_the_queues_checks_look_at_the_queue(launcher: Launcher, queue: Queue) -> None:
    """All four in one run, with the probes; a dead letter warns and fails no run."""
    failed_job(queue)
    result = launcher.run("check_health")
    assert result.success
    said = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert said == {"dlq_depth": False, "oldest_queued_age": True, "lease_losses": True, "database_health": True}
    assert launcher.shown(provider_health.key) == {"healthy": 0, "unhealthy": 0}
    assert {check.check_key.name for check in (dlq_depth, oldest_queued_age, lease_losses)} < set(said)


def test_what_is_not_well_is_graded() -> None:
    """By pure functions of the numbers."""
    stats = queue_stats(dlq_open=100, oldest_ready_seconds=1_000, ready=7, workers_alive=0)
    assert health_checks.dlq_depth(stats).severity == "error"
    assert health_checks.oldest_queued_age(stats).severity == "warn"
    assert health_checks.oldest_queued_age(stats.model_copy(update={"oldest_ready_seconds": 9_999})).severity == "error"
    assert health_checks.lease_losses(1, 1_000).severity == "warn"
    assert health_checks.lease_losses(50, 1_000).severity == "error"
    well = DatabaseHealth(jobs_live=10, jobs_dead=5, oldest_transaction_seconds=1, transaction_id_age=9, size_bytes=1)
    assert health_checks.database_health(well).severity == "ok"
    assert (
        health_checks.database_health(well.model_copy(update={"oldest_transaction_seconds": 20_000})).severity
        == "error"
    )
    assert health_checks.database_health(well.model_copy(update={"jobs_dead": 50_000})).severity == "warn"


def test_the_database_says_how_it_is(settings: dict[str, str]) -> None:
    """With the rights that a worker has."""
    with open_application(load_settings(None, **settings)) as application:
        numbers = application.queue.database_health()
    assert numbers.size_bytes > 1_000_000
    assert health_checks.database_health(numbers).severity == "ok"
