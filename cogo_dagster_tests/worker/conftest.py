"""A bench with a database of the test's own and a folder for artifacts."""

from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.worker.bench import Bench


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Keep artifacts in a folder of the test's own."""
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture
def bench(queue: Queue, store: FolderStore) -> Bench:
    """Return what workers work with."""
    return Bench(queue, store)
