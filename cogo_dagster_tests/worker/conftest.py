"""Fixtures for workers: a database per test, over each transport, with the matching artifact store."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.conftest import assert_disconnected
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.bench import Bench


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run every test of this folder over both transports."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def project(way: str, dsn: str) -> Iterator[StandIn | None]:
    """Yield a Supabase project over the test's database if the transport needs it."""
    with ExitStack() as running:
        yield running.enter_context(supabase(dsn)) if way == "supabase" else None


@pytest.fixture
def transport(project: StandIn | None, dsn: str) -> Iterator[Transport]:
    """Yield a transport with the privileges of service_role only."""
    transport = SupabaseTransport(project.project()) if project else PostgresTransport(dsn, role="service_role")
    yield transport
    transport.close()
    assert_disconnected(dsn)


@pytest.fixture
def store(project: StandIn | None, tmp_path: Path) -> Iterator[ArtifactStore]:
    """Yield a store in a private folder, or in the project's Storage."""
    if project is None:
        yield FolderStore(tmp_path / "artifacts")
        return
    store = SupabaseStore(project.project(), "artifacts")
    yield store
    store.close()


@pytest.fixture
def bench(queue: Queue, store: ArtifactStore) -> Bench:
    """Return the queue and the store that workers use."""
    return Bench(queue, store)
