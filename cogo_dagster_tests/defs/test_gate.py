"""Assets, checks and schedules of the quality gate, with a month of test data."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cogo_dagster.bootstrap import open_application
from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_status import failed_checks
from cogo_dagster.defs.quality.assets import provider_health
from cogo_dagster.defs.quality.checks import gate_q1
from cogo_dagster.defs.quality.partitioned import partitions_from
from cogo_dagster.defs.quality.schedules import missing, nightly_gate_snapshot, weekly_enqueue
from cogo_dagster.defs.queue.checks import dlq_depth, lease_losses, oldest_queued_age
from cogo_dagster.quality.weeks import week_of
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import NewJob
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
    """Runs the gate's Dagster jobs in process."""

    def __init__(self, instance: dg.DagsterInstance, cogo: CogoResource) -> None:
        self.instance, self._cogo = instance, cogo

    def run(self, name: str, first: str | None = None, last: str | None = None) -> dg.ExecuteInProcessResult:
        """Run a Dagster job, for a partition or a range of partitions."""
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
        return defs.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            resources={"cogo": self._cogo},
            partition_key=None if last else first,
            tags={name: value or "" for name, value in span.items()},
            raise_on_error=False,
        )

    def shown(self, key: dg.AssetKey, partition: str | None = None) -> dict[str, Any]:
        """Return the metadata of the last materialization."""
        partitions = [partition] if partition else None
        filters = dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions)
        [record] = self.instance.fetch_materializations(filters, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


@pytest.fixture
def launcher(instance: dg.DagsterInstance, cogo: CogoResource) -> Launcher:
    """Return a launcher on the test's database."""
    return Launcher(instance, cogo)


def a_day(count: int, passed: int, day: datetime = MONDAY) -> History:
    """Return a day with gate runs."""
    statuses = ["pass"] * passed + ["fail"] * (count - passed)
    return History(
        runs=[Run("gate", status, "main", day + timedelta(hours=i + 1)) for i, status in enumerate(statuses)]
    )


def verdicts(result: dg.ExecuteInProcessResult) -> list[tuple[bool, str]]:
    """Return the results of the asset checks without those of single days: passed and severity."""
    return [(one.passed, one.severity.value) for one in result.get_asset_check_evaluations() if one.partition is None]


def test_many_days_are_backfilled_in_one_run(launcher: Launcher, owner: Owner, transport: Transport) -> None:
    """Each day has the numbers of an independent computation; a second run changes no byte."""
    history = a_month(MONDAY, days=10)
    history.write(owner)
    assert launcher.run("snapshot_gate", "2026-10-05", "2026-10-14").success
    stored = transport.call("list_gate_snapshots", {"max_snapshots": 100})
    assert len(stored) == 10
    for day, row in enumerate(reversed(stored)):
        start = MONDAY + timedelta(days=day)
        expected = history.numbers(start, start + timedelta(days=1))
        assert same(shape(row["numbers"]), expected)
        shown = launcher.shown(asset_keys.GATE_SNAPSHOT, f"{start:%Y-%m-%d}")
        assert shown.get("pass_rate") == expected["gate"]["pass_rate"]
        assert shown["jobs_succeeded"] == expected["jobs"]["succeeded"]
    assert launcher.run("snapshot_gate", "2026-10-05", "2026-10-14").success
    assert transport.call("list_gate_snapshots", {"max_snapshots": 100}) == stored
    assert launcher.shown(asset_keys.GATE_SNAPSHOT, "2026-10-05")["outcome"] == "unchanged"


def test_a_day_has_numbers_tables_and_markdown(launcher: Launcher, owner: Owner) -> None:
    """The metadata of a day has numbers as int or float, and a summary in Markdown."""
    a_month(MONDAY, days=1).write(owner)
    launcher.run("snapshot_gate", "2026-10-05")
    shown = launcher.shown(asset_keys.GATE_SNAPSHOT, "2026-10-05")
    assert isinstance(shown["pass_rate"], float)
    assert isinstance(shown["jobs_failed"], int)
    assert shown["summary"].startswith("## 2026-10-05\n")


def test_a_recent_day_leads_to_its_gate_runs_and_pages(launcher: Launcher, owner: Owner, queue: Queue) -> None:
    """A day lists its gate runs, which are observations too, and its pages; the week links its days."""
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    a_day(5, 5, yesterday).write(owner)
    job = queue.enqueue([NewJob("browser", {"url": "https://shop.example/"})])[0].job_id
    owner.execute(
        "update jobs set status = 'succeeded', finished_at = %s where id = %s", [yesterday + timedelta(hours=1), job]
    )
    result = launcher.run("snapshot_gate", f"{yesterday:%Y-%m-%d}")
    shown = launcher.shown(asset_keys.GATE_SNAPSHOT, f"{yesterday:%Y-%m-%d}")
    assert shown["runs_of_the_day"].count("| pass | gate | main |") == 5
    assert "| `https://shop.example/` | succeeded |" in shown["pages"]
    seen = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    assert {event.asset_key for event in seen} == {asset_keys.GATE_RUNS}
    assert len(seen) == 5
    monday = yesterday - timedelta(days=yesterday.weekday() + 7)
    launcher.run("summarize_week", f"{monday:%Y-%m-%d}")
    days = launcher.shown(asset_keys.WEEKLY_SUMMARY, f"{monday:%Y-%m-%d}")["days"].splitlines()
    assert len(days) == 2 + 7
    assert f"/assets/gate_snapshot?partition={monday:%Y-%m-%d}) | not stored |" in days[2]


@pytest.mark.parametrize(
    ("count", "passed", "expected"), [(5, 5, (True, "WARN")), (5, 1, (False, "ERROR")), (4, 4, (False, "WARN"))]
)
def test_the_check_passes_fails_or_is_not_computed(
    launcher: Launcher, owner: Owner, count: int, passed: int, expected: tuple[bool, str]
) -> None:
    """A failure on the newest day fails the run, though the day is stored; too little data is a warning."""
    a_day(count, passed).write(owner)
    result = launcher.run("snapshot_gate", "2026-10-05")
    assert verdicts(result) == [expected]
    assert result.success is (expected[1] != "ERROR")
    reason = (
        "" if result.success else "gate_q1: 2026-10-05: 1 of 5 gate runs on main passed (20 %); the minimum is 70 %."
    )
    assert failed_checks(launcher.instance, result.run_id) == reason
    assert launcher.shown(asset_keys.GATE_SNAPSHOT, "2026-10-05")["gate_runs"] == count


def test_a_failure_on_an_older_day_does_not_block(launcher: Launcher, owner: Owner) -> None:
    """A failure on a day that is not the newest is a warning, so that backfills succeed."""
    a_day(5, 1).write(owner)
    a_day(5, 5, MONDAY + timedelta(days=1)).write(owner)
    assert launcher.run("snapshot_gate", "2026-10-06").success
    past = launcher.run("snapshot_gate", "2026-10-05")
    assert (past.success, verdicts(past)) == (True, [(False, "WARN")])


def test_each_day_of_a_backfill_has_its_own_verdict(
    persistent: dg.DagsterInstance, cogo: CogoResource, owner: Owner
) -> None:
    """The check's history has a result per day, with the materialization that it judged, and none is left planned."""
    for day, (count, passed) in enumerate([(5, 5), (5, 1), (2, 2), (6, 6), (5, 4)]):
        a_day(count, passed, MONDAY + timedelta(days=day)).write(owner)
    launcher = Launcher(persistent, cogo)
    result = launcher.run("snapshot_gate", "2026-10-05", "2026-10-08")
    assert (result.success, verdicts(result)) == (True, [(True, "WARN")])
    launcher.run("snapshot_gate", "2026-10-09")
    storage = persistent.event_log_storage
    history = storage.get_asset_check_execution_history(gate_q1.check_key, limit=10)
    assert {found.status.value for found in history} == {"SUCCEEDED", "FAILED"}
    found = [record.event.asset_check_evaluation for record in history if record.partition and record.event]
    days = {one.partition: one for one in found if one is not None}
    described = {day: (one.passed, one.metadata["verdict"].value) for day, one in days.items()}
    assert described == {
        "2026-10-05": (True, "pass"),
        "2026-10-06": (False, "fail"),
        "2026-10-07": (False, "not_computed"),
        "2026-10-08": (True, "pass"),
        "2026-10-09": (True, "pass"),
    }
    for key, one in days.items():
        filters = dg.AssetRecordsFilter(asset_keys.GATE_SNAPSHOT, asset_partitions=[key or ""])
        [judged] = persistent.fetch_materializations(filters, limit=1).records
        assert one.target_materialization_data
        assert one.target_materialization_data.storage_id == judged.storage_id


def test_a_week_is_stored_and_its_message_enqueued_once(launcher: Launcher, owner: Owner, queue: Queue) -> None:
    """Materializing a week twice stores its summary and enqueues one job."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday() + 7)
    a_month(monday - timedelta(days=7), days=14).write(owner)
    for _ in range(2):
        assert launcher.run("summarize_week", f"{monday:%Y-%m-%d}").success
    [job] = queue.list_jobs(type_prefix="weekly_summary")
    week = week_of(monday)
    assert job.document["idempotency_key"] == f"weekly:{week}"
    assert launcher.shown(asset_keys.WEEKLY_MESSAGE, f"{monday:%Y-%m-%d}")["created"] is False
    shown = launcher.shown(asset_keys.WEEKLY_SUMMARY, f"{monday:%Y-%m-%d}")
    assert shown["summary"].startswith(f"## Week {week}")
    assert shown["change_jobs_succeeded"] == shown["jobs_succeeded"] - shown["json"]["last_week"]["jobs"]["succeeded"]
    assert shown["chart"].startswith(f"![Week {week}](data:image/svg+xml;base64,")


def test_old_weeks_are_stored_and_not_sent(launcher: Launcher, queue: Queue) -> None:
    """A backfill of old weeks enqueues no messages."""
    assert launcher.run("summarize_week", "2026-10-05", "2026-10-19").success
    assert queue.list_jobs() == []
    assert launcher.shown(asset_keys.WEEKLY_MESSAGE, "2026-10-12") == {"week": "2026-W42", "history": True}


def test_the_asset_graph_leads_from_pages_to_the_message() -> None:
    """Each asset of the chain depends on the one before."""
    graph = defs.resolve_asset_graph()
    for upper, lower in pairwise(GRAPH):
        assert dg.AssetKey(upper) in graph.get(dg.AssetKey(lower)).parent_keys, (upper, lower)


@pytest.fixture
def local_instance(tmp_path: Path) -> dg.DagsterInstance:
    """Return an instance on disk, which schedules need."""
    return dg.DagsterInstance.local_temp(str(tmp_path))


def test_the_schedules_request_yesterday_and_last_week(local_instance: dg.DagsterInstance) -> None:
    """The schedules run at 02:00 and on Monday at 02:05 UTC, by default, and request one partition each."""
    assert (nightly_gate_snapshot.cron_schedule, weekly_enqueue.cron_schedule) == ("0 2 * * *", "5 2 * * 1")
    for schedule in (nightly_gate_snapshot, weekly_enqueue):
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert requested(nightly_gate_snapshot, local_instance, datetime(2026, 11, 24, 2, tzinfo=UTC)) == ["2026-11-23"]
    assert requested(weekly_enqueue, local_instance, datetime(2026, 11, 23, 2, 5, tzinfo=UTC)) == ["2026-11-16"]


def test_missed_partitions_are_requested(local_instance: dg.DagsterInstance) -> None:
    """A tick requests missing days since the first materialized one, and none before it."""
    for day in ("2026-11-18", "2026-11-20"):
        local_instance.report_runless_asset_event(dg.AssetMaterialization(asset_keys.GATE_SNAPSHOT, partition=day))
    days = requested(nightly_gate_snapshot, local_instance, datetime(2026, 11, 24, 2, tzinfo=UTC))
    assert days == ["2026-11-19", "2026-11-21", "2026-11-22", "2026-11-23"]
    assert missing(["a", "b"], ["a", "b"]) == ["b"]


def test_a_tick_before_the_first_day_has_ended_says_so(local_instance: dg.DagsterInstance) -> None:
    """On the day of the setup there is no partition; the skip reason names the setting."""
    repository = defs.get_repository_def()
    for schedule, period in ((nightly_gate_snapshot, "day"), (weekly_enqueue, "week")):
        at = datetime(2000, 1, 1, 2, tzinfo=UTC)
        context = dg.build_schedule_context(local_instance, scheduled_execution_time=at, repository_def=repository)
        said = schedule.evaluate_tick(context).skip_message or ""
        assert said == f"No {period} has ended since the first day of the partitions (COGO_FIRST_DAY)."


def requested(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime) -> list[str]:
    """Return the partitions that a tick requests."""
    repository = defs.get_repository_def()
    context = dg.build_schedule_context(instance, scheduled_execution_time=at, repository_def=repository)
    found = schedule.evaluate_tick(context).run_requests or []
    return [request.partition_key or "" for request in found]


def test_the_partitions_are_utc_days_and_iso_weeks() -> None:
    """The partitions are UTC days, and weeks that start on Monday, from the first day and its week."""
    days, weeks = partitions_from(date(2026, 11, 20))
    monday = datetime(2026, 11, 23, 0, 1, tzinfo=UTC)
    assert days.get_partition_keys(monday) == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert weeks.get_partition_keys(monday) == ["2026-11-16"]


def test_the_queues_checks_evaluate_the_queue(launcher: Launcher, queue: Queue) -> None:
    """All four checks run with the probes; a dead-lettered job is a warning and does not fail the run."""
    failed_job(queue)
    result = launcher.run("check_health")
    assert result.success
    results = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert results == {"dlq_depth": False, "oldest_queued_age": True, "lease_losses": True, "database_health": True}
    assert launcher.shown(provider_health.key) == {"healthy": 0, "unhealthy": 0}
    assert {check.check_key.name for check in (dlq_depth, oldest_queued_age, lease_losses)} < set(results)


def test_checks_have_severities() -> None:
    """Pure functions map the numbers to `ok`, `warn` or `error`."""
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


def test_database_health_works_with_the_rights_of_a_worker(settings: dict[str, str]) -> None:
    """The numbers are readable for the application's role, and a new database is healthy."""
    with open_application(load_settings(None, **settings)) as application:
        numbers = application.queue.database_health()
    assert numbers.size_bytes > 1_000_000
    assert health_checks.database_health(numbers).severity == "ok"
