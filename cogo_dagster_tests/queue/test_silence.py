"""Peers that keep the TCP connection but stop responding: every call, connect and probe times out."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.connect import Connection, connect, connected
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, TransportError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.transports import postgres
from cogo_dagster.queue.transports.pool import Pool
from cogo_dagster.queue.transports.postgres import PostgresTransport, is_transaction_pooled
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.ports import accepting
from cogo_dagster_tests.proofs.pooler import pooled
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import private_server
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.worker.bench import eventually
from cogo_dagster_tests.worker.faults import Proxy, proxied

SOON_SECONDS = 5.0
"""A call limited to half a second has ended within this time, even on a loaded machine."""

CONNECTED = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo'"


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use short timeouts, and retry without pauses."""
    monkeypatch.setattr(postgres, "REPLY_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "_FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def distant(proxy: Proxy) -> Iterator[PostgresTransport]:
    """Yield a transport through the proxy."""
    transport = PostgresTransport(proxy.dsn, role="service_role")
    yield transport
    transport.close()


@pytest.fixture
def mute() -> Iterator[int]:
    """Yield a port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


def test_a_call_over_an_unresponsive_connection_is_repeated_over_another(
    distant: PostgresTransport, proxy: Proxy, owner: Owner
) -> None:
    """The old connection is closed, and so are all others that may be unresponsive; the call is executed once."""
    blockers = [distant._pool.take(1) for _ in range(3)]
    for taken in blockers:
        distant._pool.put_back(taken)
    proxy.silence()
    began = time.monotonic()
    add(Queue(distant))
    assert time.monotonic() - began < SOON_SECONDS
    assert owner.execute("select count(*) from public.jobs").fetchone() == (1,)
    assert proxy.connections == 4


def test_a_call_ends_if_every_connection_is_unresponsive(distant: PostgresTransport, proxy: Proxy) -> None:
    """All attempts together keep the limit."""
    add(Queue(distant))
    proxy.silence(new_too=True)
    began = time.monotonic()
    with call_limit(0.8), pytest.raises((TransportError, DatabaseUnavailable), match="no response"):
        add(Queue(distant))
    assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize("function", ["connect", "is_transaction_pooled", "call"])
def test_a_connect_to_an_unresponsive_server_times_out(mute: int, function: str) -> None:
    """The server accepts the connection and does not respond to the login."""
    dsn = f"postgresql://user:word@127.0.0.1:{mute},localhost:{mute},127.0.0.1:{mute}/cogo"
    ways: dict[str, Callable[[], object]] = {
        "connect": lambda: connect(dsn),
        "is_transaction_pooled": lambda: is_transaction_pooled(dsn),
        "call": lambda: PostgresTransport(dsn).call("queue_stats", {}),
    }
    began = time.monotonic()
    with call_limit(0.5), pytest.raises(DatabaseUnavailable, match=r"no response within 0\.5 s"):
        ways[function]()
    assert time.monotonic() - began < SOON_SECONDS


def test_a_connection_that_breaks_during_the_detection_of_a_pooler_is_reported(dsn: str) -> None:
    """The error is a QueueError, for which commands have a message."""
    with pooled(dsn, "transaction") as address, proxied(address) as proxy:
        proxy.lose_reply_to("pg_backend_pid")
        with pytest.raises(TransportError, match="connection to the database broke"):
            is_transaction_pooled(proxy.dsn)


def test_a_hanging_login_does_not_keep_the_process_alive(mute: int) -> None:
    """The exit does not wait for the thread."""
    script = (
        "from cogo_dagster.queue.transports.postgres import PostgresTransport\n"
        "from cogo_dagster.queue.limits import call_limit\n"
        f"transport = PostgresTransport('postgresql://a:b@127.0.0.1:{mute}/c?connect_timeout=600')\n"
        "with call_limit(0.2):\n"
        "    try: transport.call('queue_stats', {})\n"
        "    except Exception as error: print(type(error).__name__)\n"
        "transport.close()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "DatabaseUnavailable\n"


def test_a_server_that_closes_idle_sessions_fails_no_call(dsn: str, owner: Owner) -> None:
    """The closed connection is detected before it is used: the first attempt succeeds."""
    owner.execute(f"alter database {owner.info.dbname} set idle_session_timeout = '1s'")
    transport = PostgresTransport(dsn, role="service_role")
    statements: list[str] = []
    once = transport._once
    transport._once = lambda *given: statements.append("try") or once(*given)  # type: ignore[method-assign,func-returns-value]
    for calls in range(1, 4):
        assert transport.call("queue_stats", {})["ready"] == 0
        assert len(statements) == calls
        eventually(lambda: owner.execute(CONNECTED).fetchone() == (0,), "the server ended the session")
        for kept in transport._pool._idle:
            kept.idle_since -= 1  # as if a second had passed
    transport.close()


def test_a_long_statement_is_cancelled_by_the_database(dsn: str, owner: Owner) -> None:
    """The timeout is set on a direct connection and behind a transaction pooler, where it does not persist."""
    for prepare in (True, False):
        with pooled(dsn, "transaction", role="service_role") as address:
            transport = PostgresTransport(dsn if prepare else address, prepare=prepare)
            owner.execute(
                "create or replace function public.schema_version() returns jsonb language sql"
                " as $$ select to_jsonb(current_setting('statement_timeout')) $$"
            )
            assert transport.call("schema_version", {}) == "8s"
            with connected(address) as other:
                assert other.execute("show statement_timeout").fetchone() == ("0",)
            transport.close()


def test_a_lower_statement_timeout_of_the_database_is_kept(dsn: str, owner: Owner) -> None:
    """An operator's lower limit is kept; bulk work gets a higher one if none is set."""
    owner.execute(
        "create or replace function public.weekly_numbers(window_start timestamptz default null,"
        " branch text default null) returns jsonb language sql"
        " as $$ select to_jsonb(current_setting('statement_timeout')) $$"
    )
    for limit, found in (("0", "1min"), ("3s", "3s")):
        owner.execute(f"alter database {owner.info.dbname} set statement_timeout = '{limit}'")
        transport = PostgresTransport(dsn, role="service_role")
        assert transport.call("weekly_numbers", {"branch": "main"}) == found
        transport.close()


def test_a_connection_that_returned_read_only_is_not_used_again(dsn: str, owner: Owner) -> None:
    """After a failover the old server still responds: the next connection reaches the new one."""
    transport = PostgresTransport(dsn, role="service_role")
    transport.call("queue_stats", {})
    owner.execute(
        "create or replace function public.schema_version() returns jsonb language plpgsql"
        " security definer as $$ begin if (select backend_start from pg_stat_activity where pid = pg_backend_pid())"
        " < (select flipped_at from public.flip) then raise sqlstate '25006' using message = 'read-only'; end if;"
        " return '1'; end $$; create table public.flip as select clock_timestamp() as flipped_at"
    )
    assert transport.call("schema_version", {}) == 1
    transport.close()


def test_a_connection_to_a_server_that_became_read_only_is_closed(dsn: str) -> None:
    """The server reports it with its next reply, even if the call only reads."""
    pool = Pool(lambda _: connect(dsn), 1)
    taken = pool.take(1)
    pool.put_back(taken)
    assert pool.take(1) is taken
    taken.connection.execute("set default_transaction_read_only = on")
    pool.put_back(taken)
    assert pool.take(1) is not taken
    assert taken.connection.closed
    pool.close()


def test_a_rejected_password_is_distinguished_from_an_unreachable_server(cluster: Path) -> None:
    """Waiting does not help with a rejected password; on a private server, since the shared ones have no passwords."""
    with private_server(cluster=cluster) as server:
        server.start()
        dsn = server.dsn("postgres")
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("create role test_login login password 'right'")
        with pytest.raises(AccessDenied, match=r"rejected the login .*password authentication failed"):
            connect(dsn, user="test_login", password="wrong")
        with pytest.raises(DatabaseUnavailable, match="does not exist"):
            connect(dsn, dbname="nowhere")


def test_a_pool_lends_no_more_than_its_size(dsn: str) -> None:
    """A caller that times out gets a message with the setting to raise; a returned connection serves the next one."""
    pool = Pool(lambda _: connect(dsn), 1)
    taken = pool.take(1)
    with pytest.raises(DatabaseUnavailable, match="COGO_POOL_SIZE"):
        pool.take(0.01)
    waiting = threading.Thread(target=lambda: pool.put_back(pool.take(5)))
    waiting.start()
    pool.put_back(taken)
    waiting.join(5)
    assert pool.take(1) is taken
    pool.close()
    pool.put_back(taken)
    assert taken.connection.closed
    with pytest.raises(TransportError, match="closed"):
        pool.take(1)


def test_a_failed_connect_releases_its_permit() -> None:
    """A pool has its full size again after its server was unreachable."""

    def fail(seconds: float) -> Connection:
        raise DatabaseUnavailable(f"away for {seconds} s")

    pool = Pool(fail, 1)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match="away"):
            pool.take(0.01)


@pytest.mark.parametrize("dripping", [False, True])
def test_a_call_to_an_unresponsive_project_times_out(dripping: bool) -> None:
    """Neither silence nor a byte from time to time extends the limit."""
    held = []

    def take(link: socket.socket) -> None:
        held.append(link)
        if dripping:
            threading.Thread(target=_drip_into, args=(link,), daemon=True).start()

    with accepting(take) as port:
        project = Project(f"http://127.0.0.1:{port}", SERVICE_ROLE)
        transport = SupabaseTransport(project, timeout=httpx.Timeout(20), first_pause_seconds=0.01)
        began = time.monotonic()
        with call_limit(0.5), pytest.raises(TransportError):
            transport.call("queue_stats", {})
        assert time.monotonic() - began < SOON_SECONDS
        transport.close()


def test_a_call_over_an_unresponsive_connection_to_a_project_is_repeated(stand_in: StandIn) -> None:
    """The call succeeds over another connection within its limit."""
    with proxied(stand_in.url) as proxy:
        transport = SupabaseTransport(
            Project(proxy.dsn, SERVICE_ROLE), timeout=httpx.Timeout(0.5), first_pause_seconds=0.01
        )
        assert transport.call("queue_stats", {})["ready"] == 0
        proxy.silence()
        assert transport.call("queue_stats", {})["ready"] == 0
        transport.close()


def test_unexpected_errors_may_be_repeated(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's own exception, or a failure to start a thread, is raised as a QueueError."""
    transport = PostgresTransport(dsn, role="service_role")
    for error in (RuntimeError("can't start new thread"), OSError("too many open files"), MemoryError()):
        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Connection, "connect", _raiser(error))
            with pytest.raises(QueueError):
                transport.call("queue_stats", {})
        assert transport.call("queue_stats", {})["ready"] == 0
        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Connection, "execute", _raiser(error))
            with pytest.raises(TransportError):
                transport.call("queue_stats", {})
    transport.close()


def _raiser(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def _drip_into(link: socket.socket) -> None:
    try:
        link.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
        while True:
            link.sendall(b" ")
            time.sleep(0.05)
    except OSError:
        return
