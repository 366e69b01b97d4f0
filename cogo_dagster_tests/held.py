"""Snapshots that tests hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cogo_dagster_tests.conftest import Owner


@contextmanager
def held(dsn: str, application: str = "report of sales") -> Iterator[int]:
    """Hold a snapshot in a session of this application, and yield its pid."""
    with psycopg.connect(dsn, application_name=application) as session:
        session.execute("set transaction isolation level repeatable read")
        session.execute("select 1")
        yield session.info.backend_pid


def report_at_once(owner: Owner) -> None:
    """Let held_snapshot report snapshots of any age."""
    row = owner.execute("select pg_get_functiondef('public.held_snapshot'::regproc)").fetchone()
    assert row is not None
    owner.execute(str(row[0]).replace(">= held_snapshot.min_seconds", ">= 0").encode())
