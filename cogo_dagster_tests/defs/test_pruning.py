"""Pruning of Dagster's event log by age, which keeps the history of assets."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.maintenance.jobs import prune_event_log
from cogo_dagster.defs.maintenance.ops import retention
from cogo_dagster.defs.quality.assets import provider_health
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.queue.conformance.test_retention import DAYS


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def a_job() -> None:
    """Create a run."""
    nothing()


def make_old(instance: dg.DagsterInstance, run_id: str, days: int) -> None:
    """Set the creation time of a run into the past."""
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    created = (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None)
    with storage.connect() as connection:
        connection.execute(RunsTable.update().where(RunsTable.c.run_id == run_id).values(create_timestamp=created))


def run_aged(instance: dg.DagsterInstance, days: int) -> str:
    """Create a finished run with a creation time in the past; return its id."""
    run_id = a_job.execute_in_process(instance=instance).run_id
    make_old(instance, run_id, days)
    return run_id


def prune(instance: dg.DagsterInstance, cogo: CogoResource, **config: object) -> None:
    """Run prune_event_log."""
    ops = {"prune_event_log": {"config": config}}
    done = prune_event_log.execute_in_process(instance=instance, run_config={"ops": ops}, resources={"cogo": cogo})
    assert done.success


def test_only_old_runs_are_deleted(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """An old run is deleted with its events, a recent one is kept; a dry run deletes nothing."""
    old, young = run_aged(instance, 21), run_aged(instance, 1)
    prune(instance, cogo, keep_days=14, dry_run=True)
    assert instance.has_run(old)
    prune(instance, cogo, keep_days=14)
    assert not instance.has_run(old)
    assert instance.all_logs(old) == []
    assert instance.has_run(young)


def test_materialized_days_and_their_checks_are_kept(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Runs with materialized partitions are kept at any age, since pages and schedules read their events."""
    days = ["2026-11-01", "2026-11-02"]
    job = defs.resolve_job_def("snapshot_gate")
    for day in days:
        made = job.execute_in_process(
            instance=instance, resources={"cogo": cogo}, partition_key=day, raise_on_error=False
        )
        make_old(instance, made.run_id, 500)
    gone = run_aged(instance, 500)
    prune(instance, cogo)
    assert not instance.has_run(gone)
    assert instance.get_materialized_partitions(asset_keys.GATE_SNAPSHOT) == set(days)
    [check] = gate_snapshot_checks(instance)
    assert check is not None


def gate_snapshot_checks(instance: dg.DagsterInstance) -> list[object]:
    """Return the last record of the check gate_q1."""
    key = dg.AssetCheckKey(asset_keys.GATE_SNAPSHOT, "gate_q1")
    return list(instance.event_log_storage.get_asset_check_execution_history(key, limit=1))


def test_probes_are_kept_for_400_days(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Runs with probes are kept for their plots until the period of the setting, or of the run, is over."""
    runs = [dg.materialize([provider_health], instance=instance, resources={"cogo": cogo}).run_id for _ in range(2)]
    make_old(instance, runs[0], 401)
    make_old(instance, runs[1], 300)
    prune(instance, cogo)
    assert [instance.has_run(run_id) for run_id in runs] == [False, True]
    prune(instance, cogo, keep_health_days=200)
    assert not instance.has_run(runs[1])


def test_folders_of_deleted_runs_are_deleted(persistent: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Old folders of deleted runs are deleted; recent folders, folders of existing runs, and others are kept."""
    bases = [Path(persistent.root_directory) / name for name in ("logs", "storage", "dagster_celery/config")]
    old, kept = run_aged(persistent, 21), run_aged(persistent, 1)
    gone, recent = str(uuid4()), str(uuid4())
    for base in bases:
        for name in (old, kept, gone, recent, "not-a-run"):
            (base / name / "compute_logs").mkdir(parents=True, exist_ok=True)
            long_ago = time.time() - 30 * 86_400
            os.utime(base / name, (long_ago, long_ago))
        os.utime(base / recent)
    prune(persistent, cogo)
    for base in bases:
        left = {folder.name for folder in base.iterdir()}
        assert left >= {kept, recent, "not-a-run"}, base
        assert not {old, gone} & left, base


def test_kept_runs_do_not_stop_the_pagination(
    instance: dg.DagsterInstance, cogo: CogoResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old runs after more kept runs than a page holds are deleted, too."""
    monkeypatch.setattr("cogo_dagster.dagster_support.pruning._BATCH", 2)
    for _ in range(3):
        made = dg.materialize([provider_health], instance=instance, resources={"cogo": cogo})
        make_old(instance, made.run_id, 30)
        run_aged(instance, 30)
    before = instance.get_runs_count()
    prune(instance, cogo)
    assert instance.get_runs_count() == before - 3 + 1


def test_every_retention_period_is_applied() -> None:
    """The nightly job has a setting for each period of `delete_old_rows`."""
    assert set(retention(load_settings())) == set(DAYS)
