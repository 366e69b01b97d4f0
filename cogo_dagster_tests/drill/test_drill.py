"""`cogo drill`: real kills on a database that is removed, and a report that can say no."""

import contextlib
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.drill.acts import _invariants
from cogo_dagster.drill.scratch import DrillFailed, scratch
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.cli.terminal import terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import running_job, settle

PROMISES = {
    "nothing_is_lost",
    "a_crash_consumes_an_attempt",
    "a_stale_worker_is_refused",
    "a_letter_is_replayed_once",
    "nothing_hangs",
    "every_attempt_is_accounted_for",
    "every_artifact_is_there",
}
NAMED = "select count(*) from pg_database where datname = %s"


def test_the_drill_is_held_on_the_same_server(tmp_path: Path, dsn: str, queue: Queue) -> None:
    """Every promise holds, and the queue's own database was not touched."""
    report = terminal(tmp_path, dsn, {}).ok("drill")
    assert report["held"] is True
    assert {row["promise"] for row in report["promises"]} == PROMISES
    assert queue.list_jobs() == []


def test_what_does_not_hold_is_said(tmp_path: Path, queue: Queue, owner: Owner) -> None:
    """A job that hangs, an attempt that is missing, a file that is not there."""
    lost = running_job(queue)
    settle(queue, lost)
    owner.execute("update public.jobs set attempts = 3 where id = %s", (lost.id,))
    owner.execute(
        "insert into public.artifacts (job_id, status, name, storage_key) values (%s, 'ready', 'page.png', 'lost.png')",
        (lost.id,),
    )
    running_job(queue)
    seen = {found.promise: found.held for found in _invariants(queue, FolderStore(tmp_path / "artifacts"))}
    assert seen == {
        "nothing_hangs": False,
        "every_attempt_is_accounted_for": False,
        "every_artifact_is_there": False,
    }


def test_a_role_that_may_not_make_databases_is_told_what_to_do(dsn: str, owner: Owner) -> None:
    """And nothing is left."""
    owner.execute("create role drill_nobody login password 'x'")
    try:
        with (
            pytest.raises(DrillFailed, match="drill with --embedded"),
            scratch(make_conninfo(dsn, user="drill_nobody", password="x")),
        ):
            pytest.fail("A database was made.")
    finally:
        owner.execute("drop role drill_nobody")


def test_the_scratch_database_is_removed_whatever_happens(dsn: str, owner: Owner) -> None:
    """Also with somebody connected."""
    with contextlib.suppress(ZeroDivisionError), scratch(dsn) as place, psycopg.connect(place.dsn):
        name = conninfo_to_dict(place.dsn)["dbname"]
        assert owner.execute(NAMED, (name,)).fetchone() == (1,)
        raise ZeroDivisionError
    assert owner.execute(NAMED, (name,)).fetchone() == (0,)
