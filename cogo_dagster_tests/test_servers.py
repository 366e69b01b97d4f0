"""The tests' own servers: shared while in use and removed afterwards, even after a kill."""

import contextlib
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.postgres15 import fetched_binaries
from cogo_dagster_tests.servers import HOMES, Major, TestServer, shared_server, swept_home

START_AND_WAIT = """
import sys
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.servers import swept_home
with swept_home(sys.argv[1]) as home:
    EmbeddedServer(home, durable=False).start()
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=[15, 18])
def major(request: pytest.FixtureRequest) -> Major:
    """Return each version."""
    version: Major = request.param
    return version


def _change(server: TestServer, statements: str) -> str:
    """Execute statements, each in its own message, in a lent database; return its URL."""
    with server.lend("migrated") as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        for statement in statements.split("; "):
            owner.execute(statement.encode())
    return dsn


def test_copies_of_a_template_are_independent(server: TestServer, major: Major) -> None:
    """A template is built once; each copy starts like it, changes alone, and is dropped despite open connections."""
    name = f"numbers_{uuid4().hex[:12]}"
    built: list[str] = []

    def build(dsn: str) -> None:
        built.append(dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("create table numbers as select 1 as number")

    server.template(name, build)
    server.template(name, build)
    assert len(built) == 1
    with server.clone(name) as first, server.clone(name) as second:
        left_open = psycopg.connect(first, autocommit=True)
        assert left_open.info.server_version // 10_000 == major
        left_open.execute("insert into numbers values (2)")
        with psycopg.connect(second) as other:
            assert other.execute("select number from numbers").fetchall() == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)
    left_open.close()


def test_a_lent_database_is_used_again_like_new(server: TestServer) -> None:
    """Its rows are deleted, its sequences restarted and its connections closed."""
    with server.lend("migrated") as first:
        left_open = psycopg.connect(first, autocommit=True)
        left_open.execute("insert into public.jobs (type) values ('browser')")
        left_open.execute("insert into public.worker_heartbeats (worker_id) values ('w')")
    with server.lend("migrated") as again, psycopg.connect(again, autocommit=True) as owner:
        assert again == first
        assert owner.execute("select count(*) from public.jobs").fetchone() == (0,)
        written = owner.execute("insert into public.worker_heartbeats (worker_id) values ('w') returning id")
        assert written.fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("select 1")


@pytest.mark.parametrize(
    "change",
    [
        "insert into public.jobs (type) select 'browser' from generate_series(1, 1000); delete from public.jobs",
        "begin; insert into public.jobs (type) values ('browser'); rollback",
        "begin; create table public.more (); rollback",
    ],
)
def test_a_lent_database_whose_changes_were_undone_is_used_again(server: TestServer, change: str) -> None:
    """This holds for a changed schema too."""
    changed = _change(server, change)
    with server.lend("migrated") as again, psycopg.connect(again, autocommit=True) as owner:
        assert again == changed
        assert owner.execute("select count(*) from public.jobs").fetchone() == (0,)


def test_what_kept_connections_have_written_is_deleted(server: TestServer) -> None:
    """Their sessions do not end, so they report their changes when the database is restored."""
    for _ in range(3):
        with server.lend("migrated") as dsn, server.kept(dsn) as kept:
            transport, owner = kept.transport(), kept.owner()
            assert transport.call("queue_stats", {})["ready"] == 0
            transport.call("enqueue_jobs", {"jobs": [{"type": "browser"}]})
            assert owner.execute("select count(*) from public.jobs").fetchone() == (1,)
    with server.lend("migrated") as dsn, server.kept(dsn) as kept:
        kept.owner().execute("drop index public.jobs_lease")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn)


def test_a_connection_of_a_transport_that_was_not_closed_is_reported(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is dropped, which closes the connection."""
    monkeypatch.setattr("cogo_dagster_tests.spares._CLOSE_SECONDS", 0.1)
    with contextlib.ExitStack() as lent:
        dsn = lent.enter_context(server.lend("migrated"))
        left_open = psycopg.connect(dsn, autocommit=True, application_name="cogo")
        lent.enter_context(server.kept(dsn)).is_closed_alone = True
        with pytest.raises(AssertionError, match="1 connections of the closed transport are still open"):
            lent.close()
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("select 1")


@pytest.mark.parametrize(
    "change",
    [
        "create table public.more ()",
        "alter table public.jobs drop constraint jobs_dates_known",
        "alter function public.queue_stats set work_mem = '8MB'",
        "grant select on public.jobs to anon",
        "drop index public.jobs_lease",
        "update public.deployment set max_payload_bytes = 5000",
        "insert into public.jobs (type) select 'browser' from generate_series(1, 100); analyze public.jobs",
        "insert into public.jobs (type) select 'browser' from generate_series(1, 20000)",
    ],
)
def test_a_lent_database_with_another_schema_is_dropped(server: TestServer, change: str) -> None:
    """This holds for statistics, settings and rows of the template too, and for more rows than are deleted quickly."""
    changed = _change(server, change)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(changed)


def test_connections_to_a_lent_database_stay_open(server: TestServer) -> None:
    """The next user has the same processes of the server, and the settings of a new session."""
    with server.lend("migrated") as dsn, server.kept(dsn) as first:
        transport, owner = first.transport(), first.owner()
        transport.call("queue_stats", {})
        owner.execute("set work_mem = '8MB'")
        processes = first.idle_processes()
        assert len(processes) == 2
    with server.lend("migrated") as dsn, server.kept(dsn) as second:
        assert (second.transport(), second.owner()) == (transport, owner)
        assert owner.execute("select setting = reset_val from pg_settings where name = 'work_mem'").fetchone() == (
            True,
        )
        assert transport.call("queue_stats", {})["ready"] == 0
        assert second.idle_processes() == processes


def test_a_connection_that_was_lost_or_is_in_use_is_replaced(server: TestServer) -> None:
    """The next user of the database gets new connections."""
    with server.lend("migrated") as dsn, server.kept(dsn) as first:
        lost, used = first.transport(), first.owner()
        lost.call("queue_stats", {})
        used.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'cogo' and datname = current_database()"
        )
        used.execute("begin")
    with server.lend("migrated") as dsn, server.kept(dsn) as second:
        assert second.transport() is not lost
        assert second.owner() is not used


def test_users_of_one_run_share_a_server_until_the_last_leaves(tmp_path: Path) -> None:
    """Two users of a run share one server, and the last one removes it."""
    with shared_server(18, tmp_path) as first, shared_server(18, tmp_path) as second:
        assert first.dsn("postgres") == second.dsn("postgres")
        address = first.dsn("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)


def test_the_server_of_a_killed_run_is_removed_by_the_next() -> None:
    """The next run stops the server and deletes its files."""
    name = uuid4().hex[:12]
    command = [sys.executable, "-c", START_AND_WAIT, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        assert killed.stdout.readline() == "started\n"
        address = EmbeddedServer(HOMES / name).dsn("postgres")
        killed.kill()
    with swept_home(f"{name}-next"):
        assert not (HOMES / name).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)


def test_version_15_is_downloaded_without_a_package() -> None:
    """Its programs work with all their libraries, for root's servers too."""
    with swept_home(uuid4().hex[:12]) as home:
        server = EmbeddedServer(home, binaries=fetched_binaries(), durable=False)
        with server.running(), psycopg.connect(server.dsn("postgres")) as connection:
            row = connection.execute("select current_setting('server_version_num')::int / 10000").fetchone()
    assert row == (15,)
