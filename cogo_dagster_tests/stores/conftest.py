"""Fixtures: a place for artifacts, and further databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.stores.place import Place, another_database
from cogo_dagster_tests.supabase.server import StandIn


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, stand_in: StandIn) -> Iterator[Place]:
    """Yield a folder or a bucket."""
    place = Place(request.param, tmp_path / "artifacts", stand_in)
    yield place
    for store in place.opened:
        store.close()


@pytest.fixture
def database(server: TestServer) -> Iterator[Callable[[], Queue]]:
    """Return a function that creates another migrated database."""
    with ExitStack() as opened:

        def another() -> Queue:
            dsn = opened.enter_context(another_database(server))
            transport = PostgresTransport(dsn, role="service_role")
            opened.callback(transport.close)
            return Queue(transport)

        yield another
