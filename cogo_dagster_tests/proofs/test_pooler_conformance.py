"""The conformance suite once more, by way of a transaction pooler: every call may be answered by another process."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.proofs.pooler import pooled
from cogo_dagster_tests.queue import conformance
from cogo_dagster_tests.queue.conformance.conftest import _empty as empty
from cogo_dagster_tests.servers import Major, TestServer

# The tests of every module of the suite, and the fixtures that some bring along.
for path in sorted(Path(str(conformance.__file__)).parent.glob("test_*.py")):
    part = vars(import_module(f"{conformance.__name__}.{path.stem}"))
    tests = {f"{path.stem}_{name.removeprefix('test_')}": it for name, it in part.items() if name.startswith("test_")}
    globals().update(tests)
    globals().update({name: it for name, it in part.items() if isinstance(it, FixtureFunctionDefinition)})


@pytest.fixture(scope="module")
def database(servers: Callable[[Major], TestServer]) -> Iterator[str]:
    """Lend one database to all tests."""
    with servers(18).clone("migrated") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def emptying(database: str) -> Iterator[Owner]:
    """Keep the connection that empties the database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def by_way(database: str) -> Iterator[Transport]:
    """Call the engine by way of a pooler that takes another server connection for each call if it can."""
    with pooled(database, "transaction", role="service_role", round_robin=True) as address:
        transport = PostgresTransport(address, prepare=False)
        yield transport
        transport.close()


@pytest.fixture
def dsn(database: str, emptying: Owner) -> str:
    """Empty the database; those who look at it do so directly."""
    with emptying.transaction():
        empty(emptying)
    return database


@pytest.fixture
def transport(dsn: str, by_way: Transport) -> Transport:
    """Call the engine by way of the pooler."""
    return by_way
