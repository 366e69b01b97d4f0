"""Fixtures: a terminal on the database of the test."""

from pathlib import Path

import pytest

from cogo_dagster_tests.cli.terminal import Terminal, terminal


@pytest.fixture
def cogo(tmp_path: Path, dsn: str) -> Terminal:
    """Return a terminal on a migrated, empty database."""
    return terminal(tmp_path, dsn, {})


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """Return a terminal whose database is unreachable."""
    return terminal(tmp_path, "postgresql://user@127.0.0.1:1/nothing", {})
