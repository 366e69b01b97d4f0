"""Dagster's own storage: one pool of connections for a process, however many instances Dagster makes in it."""

import dagster as dg
import psycopg

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.storage_database import IDLE_CONNECTIONS
from cogo_dagster.defs.alerts.sensors import undelivered_alerts
from cogo_dagster.defs.operators.sensors import expired_leases
from cogo_dagster.defs.queue.sensors import ready_jobs, zombie_runs
from cogo_dagster_tests.conftest import assert_disconnected
from cogo_dagster_tests.defs.loaded import defs

MOST_CONNECTIONS = 6


def connections(dsn: str) -> int:
    """Count the connections to a database, this one apart."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert found
    return int(found[0])


def test_instances_of_a_process_share_their_connections(persistent: dg.DagsterInstance, dagster_dsn: str) -> None:
    """Dagster makes an instance for each tick of each sensor: fifty of them keep open what one does."""
    kept = [dg.DagsterInstance.from_ref(persistent.get_ref()) for _ in range(50)]
    for instance in kept:
        instance.get_runs(limit=1)
        instance.event_log_storage.get_maximum_record_id()
        instance.all_instigator_state()
    assert connections(dagster_dsn) <= IDLE_CONNECTIONS <= MOST_CONNECTIONS


def test_dagsters_storages_use_the_engine_they_are_given(persistent: dg.DagsterInstance, dagster_dsn: str) -> None:
    """The name of their private attribute is the one that our storage sets: another one would bring NullPool back."""
    assert connections(dagster_dsn) <= 1
    parts = (persistent.event_log_storage, persistent.run_storage, persistent.schedule_storage)
    assert len({id(getattr(part, "_engine", None)) for part in parts}) == 1
    with persistent.run_storage.connect(), persistent.run_storage.connect():  # type: ignore[attr-defined]
        assert connections(dagster_dsn) >= 2


def test_ticks_leave_no_connections_behind(
    persistent: dg.DagsterInstance, cogo: CogoResource, dagster_dsn: str, dsn: str
) -> None:
    """A hundred ticks, each with an instance and an application of its own, as the code server makes them."""
    sensors = [ready_jobs, expired_leases, zombie_runs, undelivered_alerts]
    most = 0
    for number in range(100):
        with (
            dg.DagsterInstance.from_ref(persistent.get_ref()) as instance,
            dg.build_sensor_context(instance=instance, resources={"cogo": cogo}) as context,
        ):
            sensors[number % len(sensors)](context)
        most = max(most, connections(dagster_dsn))
    assert most <= IDLE_CONNECTIONS
    assert_disconnected(dsn)


def test_every_dagster_job_has_a_time_to_end(persistent: dg.DagsterInstance) -> None:
    """A run whose machine died has no other end, except the runs of process_jobs; assets by hand have the default."""
    without = [job.name for job in defs.jobs or () if "dagster/max_runtime" not in (job.tags or {})]
    assert without == []
    assert (persistent.run_monitoring_enabled, persistent.run_monitoring_max_runtime_seconds) == (True, 14_400)
