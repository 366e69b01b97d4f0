"""The conformance suite once more, by way of a transaction pooler: every call may be answered by another process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import psycopg
import pytest

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.proofs.pooler import pooled
from cogo_dagster_tests.queue import conformance
from cogo_dagster_tests.queue.conformance import (
    test_artifacts,
    test_cancel,
    test_claim,
    test_claim_one_job,
    test_enqueue,
    test_fence,
    test_lists,
    test_pause,
    test_purge,
    test_rates,
    test_recover,
    test_renew,
    test_replay,
    test_retry,
    test_secrets,
    test_settle,
    test_workers,
)
from cogo_dagster_tests.queue.conformance.conftest import _empty as empty
from cogo_dagster_tests.servers import Major, TestServer

SUITE: Final[tuple[ModuleType, ...]] = (
    test_artifacts,
    test_cancel,
    test_claim,
    test_claim_one_job,
    test_enqueue,
    test_fence,
    test_lists,
    test_pause,
    test_purge,
    test_rates,
    test_recover,
    test_renew,
    test_replay,
    test_retry,
    test_secrets,
    test_settle,
    test_workers,
)

for module in SUITE:
    part = module.__name__.rpartition(".")[2]
    tests = {name.removeprefix("test_"): test for name, test in vars(module).items() if name.startswith("test_")}
    globals().update({f"{part}_{name}": test for name, test in tests.items()})


listener = test_workers.listener
rates = test_rates.rates


@pytest.fixture(scope="module")
def database(servers: Callable[[Major], TestServer]) -> Iterator[str]:
    """Lend one database to all tests."""
    with servers(18).clone("migrated") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def by_way(database: str) -> Iterator[Transport]:
    """Call the engine by way of a pooler that takes another server connection for each call if it can."""
    with pooled(database, "transaction", role="service_role", round_robin=True) as address:
        transport = PostgresTransport(address, prepare=False)
        yield transport
        transport.close()


@pytest.fixture
def dsn(database: str) -> str:
    """Empty the database; those who look at it do so directly."""
    with psycopg.connect(database) as connection:
        empty(connection)
    return database


@pytest.fixture
def transport(dsn: str, by_way: Transport) -> Transport:
    """Call the engine by way of the pooler."""
    return by_way


def test_the_whole_suite_is_here() -> None:
    """A new module of the suite is not forgotten."""
    folder = Path(str(conformance.__file__)).parent
    assert {path.stem for path in folder.glob("test_*.py")} == {module.__name__.rpartition(".")[2] for module in SUITE}
