"""The gate's service on the test's database."""

import pytest

from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.queue.transports.base import Transport


@pytest.fixture
def gates(transport: Transport) -> GateService:
    """Ask for 70 % of at least five runs on main; reports are found below a made-up address."""
    return GateService(
        transport, Threshold(70, 5), "main", lambda artifact_id: f"https://ops/api/artifacts/{artifact_id}"
    )
