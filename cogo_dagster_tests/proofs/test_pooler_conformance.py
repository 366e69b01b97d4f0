"""The conformance tests through a transaction pooler: each call may use another server connection."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.proofs.pooler import pooled
from cogo_dagster_tests.queue import conformance
from cogo_dagster_tests.queue.conformance.conftest import BY_VERSION, empty, emptying
from cogo_dagster_tests.servers import Major, TestServer

# The tests of every conformance module that call the queue over each transport, and their fixtures.
for path in sorted(Path(str(conformance.__file__)).parent.glob("test_*.py")):
    part = vars(import_module(f"{conformance.__name__}.{path.stem}"))
    globals().update(
        {
            f"{path.stem}_{name.removeprefix('test_')}": it
            for name, it in part.items()
            if name.startswith("test_") and BY_VERSION.mark not in getattr(it, "pytestmark", ())
        }
    )
    globals().update({name: it for name, it in part.items() if isinstance(it, FixtureFunctionDefinition)})


@pytest.fixture(scope="module")
def database(servers: Callable[[Major], TestServer]) -> Iterator[str]:
    """Yield one database for all tests."""
    with servers(18).clone("migrated") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def open_connection(database: str) -> Iterator[Owner]:
    """Keep open the connection that empties the database."""
    with emptying(database) as connection:
        yield connection


@pytest.fixture(scope="module")
def by_way(database: str) -> Iterator[Transport]:
    """Yield a transport through a pooler that changes the server connection for each call if possible."""
    with pooled(database, "transaction", role="service_role", round_robin=True) as address:
        transport = PostgresTransport(address, prepare=False)
        yield transport
        transport.close()


@pytest.fixture
def dsn(database: str, open_connection: Owner) -> str:
    """Empty the database; tests inspect it over a direct connection."""
    empty(open_connection)
    return database


@pytest.fixture
def transport(dsn: str, by_way: Transport) -> Transport:
    """Return the transport through the pooler."""
    return by_way
