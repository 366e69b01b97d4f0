"""The Postgres transport with a database that is missing, restarted or not migrated."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, SchemaOutOfDate
from cogo_dagster.queue.transports import postgres
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import TestServer

WAITING = (
    "select pid from pg_stat_activity"
    " where datname = current_database() and application_name = 'cogo' and wait_event_type = 'Lock'"
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without pauses."""
    monkeypatch.setattr(postgres, "_FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port on which no server listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_an_unreachable_server_is_reported(closed_port: int) -> None:
    """The message has host and port, and what to check."""
    transport = PostgresTransport(f"postgresql://user@127.0.0.1:{closed_port}/cogo")
    with pytest.raises(DatabaseUnavailable, match=rf"cannot be reached.*{closed_port}.*check COGO_DATABASE_URL"):
        transport.call("queue_stats", {})
    transport.close()


def test_an_invalid_url_is_rejected() -> None:
    """The message has the expected form."""
    transport = PostgresTransport("postgres//typo")
    with pytest.raises(DatabaseUnavailable, match=r"not a Postgres address.*write it as postgresql://"):
        transport.call("queue_stats", {})


def test_a_database_created_later_is_used(server: TestServer, dsn: str) -> None:
    """A transport that failed at first works once the database exists."""
    wanted = f"{conninfo_to_dict(dsn)['dbname']}_later"
    transport = PostgresTransport(make_conninfo(dsn, dbname=wanted))
    with pytest.raises(DatabaseUnavailable):
        transport.call("queue_stats", {})
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template migrated").format(sql.Identifier(wanted)))
        try:
            assert transport.call("queue_stats", {})["ready"] == 0
        finally:
            transport.close()
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(wanted)))


def test_concurrent_first_calls_succeed(dsn: str) -> None:
    """The pool is opened once."""
    transport = PostgresTransport(dsn)
    together = Barrier(8)

    def call(_: int) -> int:
        together.wait()
        ready: int = transport.call("queue_stats", {})["ready"]
        return ready

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == [0] * 8
    transport.close()


def test_calls_survive_a_restart_of_the_server(dsn: str, owner: Owner) -> None:
    """All eight pooled connections break at once: the next call, and each later one, succeeds."""
    transport = PostgresTransport(dsn, max_connections=8)
    with ThreadPoolExecutor(8) as pool:
        with psycopg.connect(dsn) as blocker:
            blocker.execute("lock table public.workers")
            calls = [pool.submit(transport.call, "queue_stats", {}) for _ in range(8)]
            while len(owner.execute(WAITING).fetchall()) < 8:
                assert not any(call.done() for call in calls)
        assert [call.result()["ready"] for call in calls] == [0] * 8
    cut = owner.execute(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
        " where datname = current_database() and application_name = 'cogo'"
    ).fetchone()
    assert cut == (8,)
    for _ in range(8):
        assert transport.call("queue_stats", {})["ready"] == 0
    transport.close()


def test_a_process_opens_no_more_connections_than_its_pool(dsn: str, owner: Owner) -> None:
    """Eight concurrent calls over a pool of two use two connections, and all return."""
    transport = PostgresTransport(dsn, max_connections=2)
    opened = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo'"
    with ThreadPoolExecutor(8) as pool:
        with psycopg.connect(dsn) as blocker:
            blocker.execute("lock table public.workers")
            calls = [pool.submit(transport.call, "queue_stats", {}) for _ in range(8)]
            while len(owner.execute(WAITING).fetchall()) < 2:
                assert not any(call.done() for call in calls)
            assert owner.execute(opened.encode()).fetchone() == (2,)
        assert [call.result()["ready"] for call in calls] == [0] * 8
    assert owner.execute(opened.encode()).fetchone() == (2,)
    transport.close()


def test_an_interrupted_call_is_repeated(dsn: str, owner: Owner) -> None:
    """The connection breaks while the call waits for a lock; the call is executed once in the end."""
    transport = PostgresTransport(dsn)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(dsn) as blocker:
            blocker.execute("lock table public.jobs")
            enqueued = pool.submit(add, Queue(transport))
            while not (row := owner.execute(WAITING).fetchone()):
                assert not enqueued.done()
            owner.execute("select pg_terminate_backend(%s, 5000)", row)
        assert enqueued.result(timeout=30)
    assert owner.execute("select count(*) from public.jobs").fetchone() == (1,)
    transport.close()


def test_a_database_that_was_never_migrated_is_reported(empty_dsn: str) -> None:
    """The message names the command."""
    transport = PostgresTransport(empty_dsn)
    with pytest.raises(SchemaOutOfDate, match="run `cogo db migrate`"):
        transport.call("queue_stats", {})
    transport.close()


def test_a_role_without_privileges_is_reported(dsn: str) -> None:
    """The message names the required role."""
    transport = PostgresTransport(dsn, role="anon")
    with pytest.raises(AccessDenied, match=r"permission denied.*connect as a role that has service_role"):
        transport.call("queue_stats", {})
    transport.close()


def test_a_read_only_database_counts_as_unavailable(dsn: str, owner: Owner) -> None:
    """A project whose disk is full is read-only: the message says so, and workers wait until it is writable."""
    name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    owner.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    transport = PostgresTransport(dsn)
    with pytest.raises(DatabaseUnavailable, match="is read-only"):
        add(Queue(transport))
    transport.close()
