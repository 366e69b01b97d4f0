"""The definitions load without an environment, and have their documented names."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from cogo_dagster.bootstrap import dagster_storage_url
from cogo_dagster.dagster_support.storage_database import NO_ADDRESS
from cogo_dagster.settings import PROJECT_ROOT, Settings, SettingsError, load_settings
from cogo_dagster_tests.defs.loaded import defs

JOBS = {
    "process_jobs",
    "inspect_job",
    "replay_dlq",
    "discard_dlq",
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

ASSETS = {
    "queue/pages",
    "queue/jobs",
    "queue/artifacts",
    "quality/gate_runs",
    "provider_health",
    "gate_snapshot",
    "weekly_summary",
    "weekly_message",
}
CHECKS = {
    "gate_snapshot:gate_q1",
    "queue/jobs:dlq_depth",
    "queue/jobs:oldest_queued_age",
    "queue/jobs:lease_losses",
    "queue/jobs:database_health",
}
PRIVATE: Final = re.compile(r"dagster\w*\._|dagster\w*\..*\._|dagster_shared\b|dagster_postgres\.")

WATCHED_IMPORT = """
import gc, json, os, pkgutil, importlib, socket, sys
gc.disable()  # it takes a tenth of the time of imports
read = set()
own = os._Environ.__getitem__
def watched(self, name):
    read.add(name)
    return own(self, name)
os._Environ.__getitem__ = watched
def no_network(*_, **__):
    raise SystemExit("A socket was opened.")
socket.socket.connect = socket.socket.bind = socket.getaddrinfo = no_network
import cogo_dagster
for module in pkgutil.walk_packages(cogo_dagster.__path__, "cogo_dagster."):
    importlib.import_module(module.name)
print(json.dumps(sorted(read)))
"""


def names_of(definitions: Any) -> set[str]:
    """Return the names of jobs, sensors or schedules."""
    return {definition.name for definition in definitions or ()}


def bare_python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with an almost empty environment."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_opens_no_socket_and_reads_no_settings() -> None:
    """With an empty environment, all modules can be imported without a connection and without reading settings."""
    done = bare_python(WATCHED_IMPORT)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    assert not ours & set(json.loads(done.stdout.splitlines()[-1]))


def test_the_definitions_have_their_names() -> None:
    """The names of the code location, jobs, sensors, schedules, assets, checks and resources are a contract."""
    repository = defs.get_repository_def()
    assert repository.name == "__repository__"
    assert names_of(repository.get_all_jobs()) - {"__ASSET_JOB"} == JOBS
    assert names_of(repository.sensor_defs) == SENSORS
    assert names_of(repository.schedule_defs) == SCHEDULES
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == ASSETS
    assert {key.to_user_string() for key in repository.asset_graph.asset_check_keys} == CHECKS
    assert set(repository.get_top_level_resources()) == {"cogo", "worker"}
    dg.Definitions.validate_loadable(defs)


def test_every_run_is_one_process() -> None:
    """All Dagster jobs, including that of "Materialize", use the in-process executor."""
    executors = {job.name: job.executor_def for job in defs.get_repository_def().get_all_jobs()}
    assert len(executors) == len(JOBS) + 1
    assert set(executors.values()) == {dg.in_process_executor}


def test_jobs_of_one_op_have_the_name_of_the_op() -> None:
    """The run configuration names the op, so that one name serves for both."""
    for name in JOBS:
        ops = [node.name for node in defs.resolve_job_def(name).nodes]
        assert len(ops) > 1 or ops == [name] or ops[0] in ASSETS


def test_every_asset_has_owners_and_kinds() -> None:
    """Every asset has an owner and a kind for Dagster's pages."""
    graph = defs.get_repository_def().asset_graph
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert [node.key for node in nodes if not node.owners or not node.kinds] == []


def test_every_dagster_job_has_the_hooks() -> None:
    """Every Dagster job has the hooks that raise and resolve alerts."""
    for name in JOBS:
        hooks = {hook.name for hook in defs.resolve_job_def(name).hook_defs}
        assert hooks == {"alert_on_failure", "resolve_on_success"}, name


def test_process_jobs_is_a_chain_of_three_ops_in_one_process() -> None:
    """The stages are ops in order, in the in-process executor, since the worker lives in the process of the run."""
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
def test_dagsters_storage_uses_psycopg2(url: str) -> None:
    """URLs with any driver are converted to the driver of dagster-postgres."""
    settings = load_settings(DAGSTER_POSTGRES_URL=url)
    assert dagster_storage_url(settings) == "postgresql+psycopg2://me:secret@db:5432/dagster"


@pytest.mark.parametrize("url", ["host=db dbname=dagster password=secret", "mysql://me:secret@db/dagster", "dagster"])
def test_dagsters_storage_must_be_a_postgres_url(url: str) -> None:
    """Other values are rejected with a message that names the variable, without the password."""
    with pytest.raises(SettingsError, match="DAGSTER_POSTGRES_URL") as raised:
        dagster_storage_url(load_settings(DAGSTER_POSTGRES_URL=url))
    assert "secret" not in str(raised.value)


def private_imports() -> list[tuple[str, str, str]]:
    """Return imports from Dagster's private modules, as (file, module, name)."""
    found = []
    for file in sorted((PROJECT_ROOT / "cogo_dagster").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if not PRIVATE.search(text):  # parsing all files takes a second in each process of the tests
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and PRIVATE.match(node.module or ""):
                path = str(file.relative_to(PROJECT_ROOT))
                found += [(path, node.module or "", alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize(("file", "module", "name"), private_imports())
def test_imported_private_names_of_dagster_exist(file: str, module: str, name: str) -> None:
    """A Dagster release that removes a private name fails here, with the file that imports it."""
    assert hasattr(importlib.import_module(module), name), f"{file} imports {name}, which {module} no longer has."


def test_used_private_attributes_of_dagster_exist(tmp_path: Path) -> None:
    """`_engine` of the three storages (dagster_support/instance.py), `_base_dir` (dagster_support/pruning.py)."""
    for part in (PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage):
        storage = part(NO_ADDRESS, should_autocreate_tables=False)
        before = vars(storage)["_engine"]
        storage.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=2)
        assert type(vars(storage)["_engine"].pool).__name__ == "QueuePool"
        assert vars(storage)["_engine"] is not before
    assert vars(LocalComputeLogManager(str(tmp_path)))["_base_dir"] == str(tmp_path)
