"""The tests of this folder run on the oldest and the newest supported PostgreSQL."""

from collections.abc import Iterator

import pytest

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import Major
from cogo_dagster_tests.sql.sessions import Session, open_session


@pytest.fixture(params=[15, 18], ids=["pg15", "pg18"])
def major(request: pytest.FixtureRequest) -> Major:
    """Run every test of this folder on both versions."""
    chosen: Major = request.param
    return chosen


@pytest.fixture
def first(dsn: str, owner: Owner) -> Iterator[Session]:
    """Open the session that acts first."""
    with open_session(dsn, owner) as session:
        yield session


@pytest.fixture
def second(dsn: str, owner: Owner) -> Iterator[Session]:
    """Open the session that acts while the first one's transaction is open."""
    with open_session(dsn, owner) as session:
        yield session
