"""Everything here holds on the oldest and the newest PostgreSQL."""

import pytest

from cogo_dagster_tests.servers import Major


@pytest.fixture(params=[15, 18], ids=["pg15", "pg18"])
def major(request: pytest.FixtureRequest) -> Major:
    """Run every test of this folder on both versions."""
    chosen: Major = request.param
    return chosen
