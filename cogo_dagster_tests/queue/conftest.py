"""Fixtures for tests of transports."""

from collections.abc import Iterator

import pytest

from cogo_dagster_tests.worker.faults import Proxy, proxied


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """Yield a proxy before the test's database."""
    with proxied(dsn) as proxy:
        yield proxy
