"""Fixtures: a place for artifacts, and further databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.stores.place import KINDS, BucketPlace, FolderPlace, Place, S3Place, another_database
from cogo_dagster_tests.stores.s3_server import S3Server, s3_server


@pytest.fixture(scope="session")
def started_s3() -> Iterator[S3Server]:
    """Start the server with the API of S3, once per process."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(started_s3: S3Server) -> S3Server:
    """Return the server with an empty bucket."""
    started_s3.reset()
    return started_s3


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Yield a folder, a bucket of Supabase Storage or a bucket of S3."""
    match request.param:
        case "folder":
            yield FolderPlace(tmp_path / "artifacts")
        case "s3":
            yield S3Place(request.getfixturevalue("s3"))
        case _:
            bucket = BucketPlace(request.getfixturevalue("stand_in"))
            yield bucket
            for store in bucket.opened:
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
