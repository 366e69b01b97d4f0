"""Dagster's own storage: one pool of connections for a process, however many instances Dagster makes in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from dagster_postgres.utils import DagsterPostgresException

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.storage_database import IDLE_CONNECTIONS, databases
from cogo_dagster.defs.alerts.sensors import undelivered_alerts
from cogo_dagster.defs.operators.sensors import expired_leases
from cogo_dagster.defs.queue.sensors import ready_jobs, zombie_runs
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.conftest import assert_disconnected
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.servers import swept_home

MOST_CONNECTIONS = 6

FIRST_USE = """
import sys
from pathlib import Path
import dagster as dg
from cogo_dagster.queue.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
with dg.DagsterInstance.get() as instance:
    print(server.status().running)
    print(len(instance.get_runs(limit=1)), server.status().running)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Lend a folder whose server is removed with it."""
    with swept_home(uuid4().hex[:12]) as folder:
        yield folder


def test_the_storage_connects_at_its_first_use(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An instance can be built while its database cannot be reached; what reads from it says so."""
    unreachable = "postgresql://me@127.0.0.1:1/dagster"
    for name, value in (settings | {"DAGSTER_POSTGRES_URL": unreachable, "COGO_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    with (
        dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance,
        pytest.raises(DagsterPostgresException, match="too many retries"),
    ):
        instance.get_runs(limit=1)
    databases.close()


def test_the_first_use_starts_the_embedded_server_and_the_end_stops_it(home: Path) -> None:
    """With nothing running: `dagster` and `dg` need no command before them, and leave nothing behind."""
    given = {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "DAGSTER_HOME": str(PROJECT_ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", FIRST_USE, str(home)]
    done = subprocess.run(
        command, env=given, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["False", "0 True"]
    assert not EmbeddedServer(home).status().running


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
