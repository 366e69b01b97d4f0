"""The migrator: it applies the whole schema or nothing, once, also if several run concurrently."""

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cogo_dagster.queue import migrate as migrate_module
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.migrate import (
    SCHEMA_RELEASE,
    SchemaStatus,
    editor_script,
    export_supabase,
    migrate,
    migrations,
    require_current,
    sql_folder,
    status,
)
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.servers import Major, TestServer, private_server
from cogo_dagster_tests.sql.outsiders import rights_of_outsiders
from cogo_dagster_tests.sql.schema import fingerprint
from cogo_dagster_tests.sql.sessions import at_once

RUNBOOK_FILES = [
    "20250808090921_executor_worker_tables.sql",
    "20250809000100_add_job_leases.sql",
    "20250809001500_jobs_dlq_and_artifact_ttl.sql",
    "20250809004000_jobs_next_run_at.sql",
    "20250809004100_claim_one_job_with_next_run.sql",
    "20250809005000_jobs_indexes.sql",
]


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[Owner]:
    """Connect to a database that was never migrated."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield connection


def test_a_fresh_database_gets_everything(empty_dsn: str) -> None:
    """Migrate returns the status before the migration."""
    before = migrate(empty_dsn)
    assert (before.release, before.applied, before.current) == (None, (), False)
    after = status(empty_dsn)
    assert (after.release, after.pending, after.current) == (SCHEMA_RELEASE, (), True)
    require_current(empty_dsn)


def test_the_six_files_of_the_runbook_come_first() -> None:
    """They keep their names and their order."""
    assert [f"{migration.version}_{migration.name}.sql" for migration in migrations()][:6] == RUNBOOK_FILES


def test_migrating_twice_changes_nothing(dsn: str, owner: Owner) -> None:
    """No row of pg_proc is written again."""
    written = (
        "select oid, xmin::text from pg_proc where pronamespace::regnamespace::text"
        " in ('public', 'cogo_internal') order by oid"
    )
    before = owner.execute(written).fetchall()
    assert migrate(dsn).current
    assert owner.execute(written).fetchall() == before


def test_concurrent_migrations_succeed(empty_dsn: str) -> None:
    """One migrates, the others wait and find the schema current."""
    answers = at_once(*[lambda: migrate(empty_dsn)] * 3)
    assert sorted(answer.current for answer in answers) == [False, True, True]


def test_the_status_changes_nothing(empty_dsn: str, empty: Owner) -> None:
    """It does not create the history table."""
    assert status(empty_dsn).release is None
    assert empty.execute("select to_regnamespace('supabase_migrations')").fetchone() == (None,)


def test_a_database_that_was_never_migrated_is_rejected(empty_dsn: str) -> None:
    """The error names the command."""
    with pytest.raises(SchemaOutOfDate, match=r"The database has no COGO schema: run `cogo db migrate`\."):
        require_current(empty_dsn)


def test_an_older_release_is_rejected(dsn: str, owner: Owner) -> None:
    """The error names both releases."""
    owner.execute("update public.deployment set release = 0")
    with pytest.raises(SchemaOutOfDate, match=f"is at release 0, this code at {SCHEMA_RELEASE}"):
        require_current(dsn)


def test_a_newer_database_is_left_as_it_is(dsn: str, owner: Owner) -> None:
    """Its functions are never replaced by older ones, and older code does not work on it."""
    owner.execute(
        "update public.deployment set release = 99, oldest_client_release = 98, functions_digest = 'of the future'"
    )
    before = fingerprint(owner)
    for use in (migrate, require_current):
        with pytest.raises(SchemaTooNew, match=r"is at release 99.*update the code"):
            use(dsn)
    assert fingerprint(owner) == before


def test_a_newer_database_without_an_oldest_client_release_is_rejected(dsn: str, owner: Owner) -> None:
    """Releases without the column allow no older code."""
    owner.execute("update public.deployment set release = 99, oldest_client_release = null")
    with pytest.raises(SchemaTooNew, match="is at release 99"):
        require_current(dsn)


def test_a_newer_database_that_allows_this_release_is_used_but_not_migrated(dsn: str, owner: Owner) -> None:
    """Workers of the last release go on after a migration, but its command does not change the schema."""
    owner.execute(
        "update public.deployment set release = 99, oldest_client_release = %s, functions_digest = 'of the future'",
        (SCHEMA_RELEASE,),
    )
    before = fingerprint(owner)
    require_current(dsn)
    with pytest.raises(SchemaTooNew, match=r"is at release 99.*update the code"):
        migrate(dsn)
    assert fingerprint(owner) == before


def test_changed_functions_are_applied_again(dsn: str, owner: Owner) -> None:
    """Their grants are applied too, since PUBLIC may execute a new function."""
    before = fingerprint(owner)
    owner.execute("drop function public.cancel_job; update public.deployment set functions_digest = 'older'")
    assert not status(dsn).functions_current
    migrate(dsn)
    assert fingerprint(owner) == before


def test_the_id_of_a_deployment_stays(dsn: str, owner: Owner) -> None:
    """Later migrations keep it."""
    before = owner.execute("select id from public.deployment").fetchall()
    owner.execute("update public.deployment set functions_digest = 'older'")
    migrate(dsn)
    assert owner.execute("select id from public.deployment").fetchall() == before


def test_a_role_without_rights_gets_an_error(empty_dsn: str, dsn: str) -> None:
    """The error says which role to use."""
    with pytest.raises(AccessDenied, match="migrate as the database's owner"):
        migrate(make_conninfo(empty_dsn, options="-c role=anon"))


def test_a_full_disk_gives_one_message(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that nothing was changed and what to do."""

    def full(connection: Owner) -> NoReturn:
        raise psycopg.errors.DiskFull('could not write to file "pg_wal/x": No space left on device')

    monkeypatch.setattr(migrate_module, "_migrate_with_retries", full)
    with pytest.raises(DatabaseUnavailable, match=r"nothing was changed: the disk is full .* Free some space"):
        migrate(empty_dsn)


def test_an_unreachable_server_gives_an_error() -> None:
    """The error says what to check."""
    with pytest.raises(DatabaseUnavailable, match=r"cannot be reached.*check COGO_DATABASE_URL"):
        migrate("postgresql://cogo@127.0.0.1:1/cogo")


def test_both_versions_have_the_same_schema(servers: Callable[[Major], TestServer], owner: Owner) -> None:
    """Migrating on 15 and on 18 creates the same objects."""
    with servers(15).clone("migrated") as dsn, psycopg.connect(dsn) as oldest:
        assert fingerprint(owner) == fingerprint(oldest)


def test_the_editor_script_makes_the_same_schema(owner: Owner, empty: Owner) -> None:
    """It creates the same schema as migrate, and a second run changes nothing."""
    for _ in range(2):
        empty.execute(editor_script().encode())
        assert fingerprint(empty) == fingerprint(owner)


def test_the_editor_script_over_a_migrated_database_changes_nothing(dsn: str, owner: Owner) -> None:
    """The script and the command can be used in any order."""
    before = fingerprint(owner)
    owner.execute(editor_script().encode())
    assert fingerprint(owner) == before
    assert migrate(dsn).current


def test_the_exported_files_make_the_same_schema(owner: Owner, empty_dsn: str, empty: Owner, tmp_path: Path) -> None:
    """They are applied in the order of their names, statement by statement, outside any transaction."""
    written = export_supabase(tmp_path / "supabase" / "migrations")
    assert written == sorted((tmp_path / "supabase" / "migrations").glob("*.sql"))
    assert [path.name for path in written][:6] == RUNBOOK_FILES
    _psql(empty_dsn, written)
    recorded = {line for line in fingerprint(owner) if line.startswith("migration ")}
    empty.execute("create schema supabase_migrations; create table supabase_migrations.schema_migrations ()")
    empty.execute("alter table supabase_migrations.schema_migrations add version text, add name text")
    assert fingerprint(empty) == fingerprint(owner) - recorded


def test_exporting_twice_writes_the_same_files(tmp_path: Path) -> None:
    """The second export is identical."""
    first = {path.name: path.read_bytes() for path in export_supabase(tmp_path)}
    assert {path.name: path.read_bytes() for path in export_supabase(tmp_path)} == first


def test_missing_roles_are_created(major: Major) -> None:
    """The files of the runbook create them, and a migration waits for another session that creates one."""
    with private_server(major) as server:
        server.start()
        server.ensure_database("fresh")
        with psycopg.connect(server.dsn("fresh"), autocommit=True) as connection:
            for name in RUNBOOK_FILES:
                connection.execute((sql_folder() / "migrations" / name).read_bytes())
            assert rights_of_outsiders(connection) == []
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("drop database fresh")
            connection.execute("drop role anon, authenticated, service_role")
        for name in ("one", "two"):
            server.ensure_database(name)
        with ThreadPoolExecutor(1) as thread, psycopg.connect(server.dsn("one")) as faster:
            faster.execute("create role anon nologin")
            migrating = thread.submit(migrate, server.dsn("two"))
            _wait_until_blocked_by(faster, server.dsn("postgres"), migrating)
            faster.commit()
            migrating.result()
        migrate(server.dsn("one"))
        require_current(server.dsn("one"))
        require_current(server.dsn("two"))


def _wait_until_blocked_by(blocker: psycopg.Connection, dsn: str, waiting: "Future[SchemaStatus]") -> None:
    blocked = "select 1 from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
    with psycopg.connect(dsn, autocommit=True) as monitor:
        while not monitor.execute(blocked, (blocker.info.backend_pid,)).fetchone():
            assert not waiting.done(), f"It did not wait: {waiting.result()}"


def _psql(dsn: str, scripts: list[Path]) -> None:
    files = [f"--file={script}" for script in scripts]
    command = [*required("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *files, dsn]
    subprocess.run(
        command, check=True, capture_output=True, env={"PATH": os.defpath, "PGOPTIONS": "-c client_min_messages=error"}
    )
