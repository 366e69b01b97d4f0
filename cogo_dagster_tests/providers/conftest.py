"""Fixtures: a terminal on the database of the test."""

from pathlib import Path

import pytest

from cogo_dagster_tests.cli.terminal import Terminal, terminal


@pytest.fixture
def cogo(tmp_path: Path, dsn: str) -> Terminal:
    """Return a terminal on a migrated, empty database."""
    return terminal(tmp_path, dsn, {})
