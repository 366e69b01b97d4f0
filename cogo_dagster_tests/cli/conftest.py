"""A terminal on a database of the test's own, and a page that waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster_tests.cli.slow_site import SlowSite, slow_site
from cogo_dagster_tests.cli.terminal import Terminal, terminal


@pytest.fixture
def cogo(tmp_path: Path, dsn: str) -> Terminal:
    """Commands on a migrated, empty database."""
    return terminal(tmp_path, dsn, {})


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """Commands whose database cannot be reached: for what must be refused before it is asked."""
    return terminal(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", {})


@pytest.fixture
def site() -> Iterator[SlowSite]:
    """A page that is answered when the test says so."""
    with slow_site() as site:
        yield site
