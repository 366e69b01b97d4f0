"""Fixtures for workers: a database per test, over each transport, with the matching artifact store."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.conftest import require_disconnection
from cogo_dagster_tests.kept import KeptConnections
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.bench import Bench


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run every test of this folder over both transports."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def project(way: str, dsn: str, connections: KeptConnections) -> Iterator[StandIn | None]:
    """Yield a Supabase project over the test's database if the transport needs it."""
    if way == "postgres":
        yield None
        return
    connections.hide()
    with supabase(dsn, kept=connections.postgrest()) as project:
        yield project


@pytest.fixture
def transport(project: StandIn | None, dsn: str, connections: KeptConnections) -> Iterator[Transport]:
    """Yield a transport with the privileges of service_role only."""
    if project is None:
        yield connections.transport()
        require_disconnection(dsn, connections)
        return
    with closing(SupabaseTransport(project.project())) as transport:
        yield transport


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
