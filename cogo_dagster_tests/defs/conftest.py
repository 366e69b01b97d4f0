"""The resources as Dagster builds them, on the test's database, with executors of the test's own."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from cogo_dagster.dagster_support.resources import CogoResource, WorkerResource
from cogo_dagster.dagster_support.storage_database import databases
from cogo_dagster.executors.registry import Loaded
from cogo_dagster.queue.executor import Executor
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import supabase

Installed = Callable[..., None]
"""Replaces the executors that are installed."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Keep runs and events in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def dagster_dsn(server: TestServer) -> Iterator[str]:
    """Lend an empty database for Dagster's own storage."""
    with server.clone() as dsn:
        yield dsn


@pytest.fixture
def persistent(
    settings: dict[str, str], dagster_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Keep runs and events where dagster.yaml says, in a database of the test's own."""
    for name, value in (settings | {"DAGSTER_POSTGRES_URL": dagster_dsn, "DAGSTER_HOME": str(PROJECT_ROOT)}).items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dagster's betas
        with dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance:
            yield instance
    databases.close()


@pytest.fixture
def way() -> str:
    """Say what the settings name: a Postgres, or a Supabase project; modules that must not care override it."""
    return "postgres"


@pytest.fixture
def settings(way: str, dsn: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Choose the test's database and a folder of its own, whatever the environment says."""
    chosen = {"COGO_HOME": str(tmp_path), "COGO_GRACE_SECONDS": "5", "WORKER_ID": "run"}
    unset = dict.fromkeys(
        ("COGO_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "EXECUTOR_ID", "MAX_JOBS"), ""
    )
    if way == "postgres":
        yield {**unset, **chosen, "COGO_DATABASE_URL": dsn}
        return
    with supabase(dsn) as stand_in:
        keys = {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        yield {**unset, **chosen, **keys}


@pytest.fixture
def cogo(settings: dict[str, str]) -> CogoResource:
    """Return the resource that opens the application."""
    return CogoResource(settings=settings)


@pytest.fixture
def resources(cogo: CogoResource) -> dict[str, object]:
    """Return the resources of `process_jobs`."""
    return {"cogo": cogo, "worker": WorkerResource(cogo=cogo)}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Let the test say which executors there are."""

    def install(*executors: Executor) -> None:
        monkeypatch.setattr("cogo_dagster.bootstrap.application.load_executors", lambda _: Loaded(list(executors)))

    return install
