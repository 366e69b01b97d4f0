"""Fixtures: one database per PostgreSQL version, emptied before each test, as in the conformance tests."""

from collections.abc import Callable

import pytest

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.queue.conformance.conftest import TRANSPORTS, databases, dsn, emptied, transports
from cogo_dagster_tests.servers import Major

__all__ = ["databases", "dsn", "emptied", "transports"]


@pytest.fixture(params=TRANSPORTS)
def transport(
    request: pytest.FixtureRequest, dsn: str, transports: Callable[[str, Major], Transport], major: Major
) -> Transport:
    """Return each transport, with the privileges of service_role only."""
    return transports(request.param, major)
