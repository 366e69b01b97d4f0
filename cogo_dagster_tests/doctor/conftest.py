"""A terminal on a database of the test's own."""

from pathlib import Path

import pytest

from cogo_dagster_tests.cli.terminal import Terminal, terminal


@pytest.fixture
def cogo(tmp_path: Path, dsn: str) -> Terminal:
    """Commands on a migrated, empty database."""
    return terminal(tmp_path, dsn, {})


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """Commands whose database cannot be reached."""
    return terminal(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", {})
