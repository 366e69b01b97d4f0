"""Fixtures: the gate's service on the test's database."""

from pathlib import Path

import pytest

from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.transports.base import Transport


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An artifact store in a folder."""
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture
def gates(transport: Transport, store: FolderStore) -> GateService:
    """A service with a threshold of 70 % of at least five runs on main."""
    return GateService(
        transport, store, Threshold(70, 5), "main", lambda artifact_id: f"https://ops/api/artifacts/{artifact_id}"
    )
