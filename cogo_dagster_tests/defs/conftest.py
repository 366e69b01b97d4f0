"""Fixtures: Dagster's resources on the test's database, with the test's executors."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.runs import in_memory as runs_in_memory

from cogo_dagster.dagster_support.resources import CogoResource, WorkerResource
from cogo_dagster.dagster_support.storage_database import databases
from cogo_dagster.executors.registry import Loaded
from cogo_dagster.queue.executor import Executor
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.kept import KeptConnections
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import supabase

Installed = Callable[..., None]
"""Replaces the installed executors."""

for storage in (events_in_memory, runs_in_memory):
    # Alembic reads 89 scripts to store the revision of tables that are not migrated: most of the time of an instance.
    vars(storage)["stamp_alembic_rev"] = lambda *_: None


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Return an instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def dagster_dsn(server: TestServer) -> Iterator[str]:
    """Create an empty database for Dagster's own storage."""
    with server.clone() as dsn:
        yield dsn


@pytest.fixture
def persistent(
    settings: dict[str, str], dagster_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Return the instance of dagster.yaml, on a database of the test."""
    for name, value in (settings | {"DAGSTER_POSTGRES_URL": dagster_dsn, "DAGSTER_HOME": str(PROJECT_ROOT)}).items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster warns about beta features
        with dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance:
            yield instance
    databases.close()


@pytest.fixture
def database_kind() -> str:
    """Return `postgres` or `supabase`; modules override it to run with one of them or both."""
    return "postgres"


@pytest.fixture
def settings(database_kind: str, dsn: str, tmp_path: Path, connections: KeptConnections) -> Iterator[dict[str, str]]:
    """Return settings for the test's database and a folder, independent of the environment."""
    chosen = {"COGO_HOME": str(tmp_path), "COGO_GRACE_SECONDS": "5", "WORKER_ID": "run"}
    unset = dict.fromkeys(
        ("COGO_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "EXECUTOR_ID", "MAX_JOBS"), ""
    )
    if database_kind == "postgres":
        yield {**unset, **chosen, "COGO_DATABASE_URL": dsn}
        return
    with supabase(dsn, kept=connections.postgrest()) as stand_in:
        keys = {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        yield {**unset, **chosen, **keys}


@pytest.fixture
def cogo(settings: dict[str, str]) -> CogoResource:
    """Return the resource of the application."""
    return CogoResource(settings=settings)


@pytest.fixture
def resources(cogo: CogoResource) -> dict[str, object]:
    """Return the resources of `process_jobs`."""
    return {"cogo": cogo, "worker": WorkerResource(cogo=cogo)}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Return a function that replaces the installed executors."""

    def install(*executors: Executor) -> None:
        monkeypatch.setattr("cogo_dagster.bootstrap.application.load_executors", lambda _: Loaded(list(executors)))

    return install
