"""A terminal on a database of the test's own."""

from pathlib import Path

import pytest

from cogo_dagster_tests.cli.terminal import Terminal, terminal


@pytest.fixture
def cogo(tmp_path: Path, dsn: str) -> Terminal:
    """Commands on a migrated, empty database."""
    return terminal(tmp_path, dsn, {})
