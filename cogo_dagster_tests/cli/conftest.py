"""Fixtures: a terminal on the database of the test, and a page with a delayed response."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster_tests.cli.slow_site import SlowSite, slow_site
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.kept import KeptConnections
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import supabase


@pytest.fixture
def way() -> str:
    """Return the transport that the environment configures; modules override it to parametrize."""
    return "postgres"


@pytest.fixture
def cogo(way: str, tmp_path: Path, dsn: str, connections: KeptConnections) -> Iterator[Terminal]:
    """Yield a terminal on a migrated, empty database, reached over Postgres or as a Supabase project."""
    if way == "postgres":
        yield terminal(tmp_path, dsn, {})
        return
    with supabase(dsn, kept=connections.postgrest()) as stand_in:
        keys = {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        yield replace(terminal(tmp_path, None, keys), objects=stand_in.addresses)


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """Return a terminal whose database is unreachable, for input that is rejected before a connection."""
    return terminal(tmp_path, "postgresql://user@127.0.0.1:1/nothing", {})


@pytest.fixture
def site() -> Iterator[SlowSite]:
    """Yield a page that responds when the test allows it."""
    with slow_site() as site:
        yield site
