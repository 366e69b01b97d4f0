"""Dagster's own storage: one connection pool per process, shared by all instances in it."""

from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster_postgres.utils import DagsterPostgresException

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.storage_database import IDLE_CONNECTIONS, databases
from cogo_dagster.defs.alerts.sensors import undelivered_alerts
from cogo_dagster.defs.operators.sensors import expired_leases
from cogo_dagster.defs.queue.sensors import ready_jobs, zombie_runs
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.conftest import assert_disconnected
from cogo_dagster_tests.defs.loaded import defs

MAX_CONNECTIONS = 6


def test_the_storage_connects_at_its_first_use(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An instance can be created while its database is unreachable; reading from it raises."""
    unreachable = "postgresql://me@127.0.0.1:1/dagster"
    for name, value in (settings | {"DAGSTER_POSTGRES_URL": unreachable, "COGO_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    with (
        dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance,
        pytest.raises(DagsterPostgresException, match="too many retries"),
    ):
        instance.get_runs(limit=1)
    databases.close()


def connections(dsn: str) -> int:
    """Return the number of other connections to a database."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert found
    return int(found[0])


def test_instances_of_a_process_share_their_connections(persistent: dg.DagsterInstance, dagster_dsn: str) -> None:
    """Twenty instances, as Dagster creates them for ticks, keep no more connections open than one."""
    kept = [dg.DagsterInstance.from_ref(persistent.get_ref()) for _ in range(20)]
    for instance in kept:
        instance.get_runs(limit=1)
        instance.event_log_storage.get_maximum_record_id()
        instance.all_instigator_state()
    assert connections(dagster_dsn) <= IDLE_CONNECTIONS <= MAX_CONNECTIONS


def test_dagsters_storages_use_the_shared_engine(persistent: dg.DagsterInstance, dagster_dsn: str) -> None:
    """The three storages have the engine in their private attribute `_engine`, instead of one with NullPool."""
    assert connections(dagster_dsn) <= 1
    parts = (persistent.event_log_storage, persistent.run_storage, persistent.schedule_storage)
    assert len({id(getattr(part, "_engine", None)) for part in parts}) == 1
    with persistent.run_storage.connect(), persistent.run_storage.connect():  # type: ignore[attr-defined]
        assert connections(dagster_dsn) >= 2


def test_ticks_leave_no_connections_behind(
    persistent: dg.DagsterInstance, cogo: CogoResource, dagster_dsn: str, dsn: str
) -> None:
    """Twenty ticks, each with its own instance and application as in the code server, leave none open."""
    sensors = [ready_jobs, expired_leases, zombie_runs, undelivered_alerts]
    highest = 0
    for number in range(20):
        with (
            dg.DagsterInstance.from_ref(persistent.get_ref()) as instance,
            dg.build_sensor_context(instance=instance, resources={"cogo": cogo}) as context,
        ):
            sensors[number % len(sensors)](context)
        highest = max(highest, connections(dagster_dsn))
    assert highest <= IDLE_CONNECTIONS
    assert_disconnected(dsn)


def test_every_dagster_job_has_a_maximum_runtime(persistent: dg.DagsterInstance) -> None:
    """Only the maximum runtime ends a run whose machine died; materializations by hand have the default of 4 h."""
    without = [job.name for job in defs.jobs or () if "dagster/max_runtime" not in (job.tags or {})]
    assert without == []
    assert (persistent.run_monitoring_enabled, persistent.run_monitoring_max_runtime_seconds) == (True, 14_400)
