"""The tests' own servers: shared while in use and removed afterwards, even after a kill."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.postgres15 import fetched_binaries
from cogo_dagster_tests.servers import HOMES, Major, shared_server, swept_home

START_AND_WAIT = """
import sys
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster_tests.servers import swept_home
with swept_home(sys.argv[1]) as home:
    EmbeddedServer(home, durable=False).start()
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("major", [15, 18])
def test_copies_of_a_template_are_independent(major: Major, tmp_path: Path) -> None:
    """A template is built once; each copy starts like it, changes alone, and is dropped despite open connections."""
    built: list[str] = []

    def build(dsn: str) -> None:
        built.append(dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("create table numbers as select 1 as number")

    with shared_server(major, tmp_path) as server:
        server.template("one", build)
        server.template("one", build)
        assert len(built) == 1
        with server.clone("one") as first, server.clone("one") as second:
            left_open = psycopg.connect(first, autocommit=True)
            assert left_open.info.server_version // 10_000 == major
            left_open.execute("insert into numbers values (2)")
            with psycopg.connect(second) as other:
                assert other.execute("select number from numbers").fetchall() == [(1,)]
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(first)
        left_open.close()


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
