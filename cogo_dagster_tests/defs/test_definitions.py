"""The definitions load anywhere, and have the names that the documentation gives them."""

import json
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage

from cogo_dagster.bootstrap import dagster_storage_url
from cogo_dagster.settings import PROJECT_ROOT, Settings, SettingsError, load_settings
from cogo_dagster_tests.defs.loaded import defs

JOBS = {
    "process_jobs",
    "inspect_job",
    "replay_dlq",
    "retry_failed",
    "recover_leases",
    "cleanup_artifacts",
    "purge_jobs",
    "deliver_alerts",
    "prune_event_log",
    "snapshot_gate",
    "summarize_week",
    "check_health",
}
SENSORS = {"ready_jobs", "dlq_replay", "expired_leases", "zombie_runs", "undelivered_alerts", "run_failure"}
SCHEDULES = {"nightly_gate_snapshot", "weekly_enqueue", "hourly_health", "nightly_pruning"}

WATCHED_IMPORT = """
import json, os, pkgutil, importlib, socket, sys
read = set()
own = os._Environ.__getitem__
def watched(self, name):
    read.add(name)
    return own(self, name)
os._Environ.__getitem__ = watched
def refuse(*_, **__):
    raise SystemExit("A socket was opened.")
socket.socket.connect = socket.socket.bind = socket.getaddrinfo = refuse
import cogo_dagster
for module in pkgutil.walk_packages(cogo_dagster.__path__, "cogo_dagster."):
    importlib.import_module(module.name)
print(json.dumps(sorted(read)))
"""


def names_of(definitions: Any) -> set[str]:
    """Return the names of jobs, sensors or schedules."""
    return {definition.name for definition in definitions or ()}


def bare_python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing in its environment."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_opens_no_socket_and_reads_none_of_our_variables() -> None:
    """With an empty environment every module can be imported, without a connection and without asking the settings."""
    done = bare_python(WATCHED_IMPORT)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    assert not ours & set(json.loads(done.stdout.splitlines()[-1]))


def test_the_definitions_have_their_names() -> None:
    """Dagster jobs, sensors and schedules are called what the design calls them."""
    assert names_of(defs.jobs) == JOBS
    assert names_of(defs.sensors) == SENSORS
    assert names_of(defs.schedules) == SCHEDULES
    dg.Definitions.validate_loadable(defs)


def test_every_dagster_job_has_the_hooks() -> None:
    """An op that fails anywhere is an alert, and one that succeeds ends it."""
    for name in JOBS:
        hooks = {hook.name for hook in defs.resolve_job_def(name).hook_defs}
        assert hooks == {"alert_on_failure", "resolve_on_success"}, name


def test_process_jobs_is_a_chain_of_three_ops_in_one_process() -> None:
    """The stages are ops in order; the executor is pinned, since the worker lives in the process of the run."""
    job = defs.resolve_job_def("process_jobs")
    assert [node.name for node in job.nodes_in_topological_order] == ["claim_jobs", "execute_jobs", "upload_artifacts"]
    assert job.executor_def is dg.in_process_executor
    assert job.tags["dagster/max_retries"] == "0"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@db:5432/dagster",
        "postgres://me:secret@db:5432/dagster",
        "postgresql+psycopg://me:secret@db:5432/dagster",
        "postgresql+psycopg2://me:secret@db:5432/dagster",
    ],
)
def test_dagsters_storage_speaks_psycopg2(url: str) -> None:
    """However the address is written, the driver is the one that dagster-postgres works with."""
    settings = load_settings(DAGSTER_POSTGRES_URL=url)
    assert dagster_storage_url(settings) == "postgresql+psycopg2://me:secret@db:5432/dagster"


@pytest.mark.parametrize("url", ["host=db dbname=dagster password=secret", "mysql://me:secret@db/dagster", "dagster"])
def test_dagsters_storage_must_be_a_postgres_url(url: str) -> None:
    """Anything else is refused in a sentence that names the variable and keeps the password to itself."""
    with pytest.raises(SettingsError, match="DAGSTER_POSTGRES_URL") as refused:
        dagster_storage_url(load_settings(DAGSTER_POSTGRES_URL=url))
    assert "secret" not in str(refused.value)


def test_the_private_parts_of_dagster_that_we_use_are_there(dsn: str) -> None:
    """A new Dagster release that moves what instance.py relies on fails here and not in somebody's deployment."""
    assert dg.__version__ == "1.13.27", "Look at defs/instance.py before trusting a new release."
    storage = DagsterPostgresStorage(postgres_url=dsn.replace("postgresql://", "postgresql+psycopg2://"))
    for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
        part.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=2)
        engine: Any = getattr(part, "_engine")  # noqa: B009 - no type knows it
        assert type(engine.pool).__name__ == "QueuePool"
        engine.dispose()
