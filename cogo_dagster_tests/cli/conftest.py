"""A terminal on a database of the test's own, and a page that waits."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster_tests.cli.slow_site import SlowSite, slow_site
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import supabase


@pytest.fixture
def way() -> str:
    """Say what the environment names: a Postgres, or a Supabase project; modules that must not care override it."""
    return "postgres"


@pytest.fixture
def cogo(way: str, tmp_path: Path, dsn: str) -> Iterator[Terminal]:
    """Commands on a migrated, empty database: given its address, or the two variables of a Supabase project."""
    if way == "postgres":
        yield terminal(tmp_path, dsn, {})
        return
    with supabase(dsn) as stand_in:
        keys = {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        yield replace(terminal(tmp_path, None, keys), objects=stand_in.addresses)


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """Commands whose database cannot be reached: for what must be refused before it is asked."""
    return terminal(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", {})


@pytest.fixture
def site() -> Iterator[SlowSite]:
    """A page that is answered when the test says so."""
    with slow_site() as site:
        yield site
