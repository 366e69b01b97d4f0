"""Fixtures for every test: a real server, a migrated database per test, and the queue on it.

`major` selects the server's version. It is 18 here; folders whose tests must pass on both versions override it.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests import machine
from cogo_dagster_tests.kept import KeptConnections
from cogo_dagster_tests.needs import prepare
from cogo_dagster_tests.order import place, processes
from cogo_dagster_tests.servers import Major, TestServer, shared_cluster, shared_server, swept_home
from cogo_dagster_tests.startup import after_collection, before_collection
from cogo_dagster_tests.supabase.server import StandIn, supabase

Owner = psycopg.Connection[tuple[Any, ...]]
"""A connection with all privileges, in autocommit, for what the queue has no function for."""

Age = Callable[[UUID | Job, float], None]
"""Makes a job older by this many seconds: its lease, its next run, its times."""

Lose = Callable[..., None]
"""Expires the leases of jobs and recovers them while their worker runs."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of tests that only some machines can run, and speed up the tests."""
    for mark, meaning in machine.MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")
    before_collection()


def pytest_collection_finish() -> None:
    """Freeze collected objects."""
    after_collection()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test that this machine cannot run."""
    machine.require(item)


@pytest.hookimpl(optionalhook=True)  # of a plugin that may be disabled
def pytest_xdist_auto_num_workers() -> int:
    """Run the tests in more processes than there are cores."""
    return processes()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first."""
    items.sort(key=lambda item: place(item.path))


@pytest.hookimpl(trylast=True)  # after the header, before the workers start
def pytest_sessionstart(session: pytest.Session) -> None:
    """Report what will be installed, install it before a run of all tests, and report what was found."""
    config = session.config
    teller = config.pluginmanager.get_plugin("terminalreporter")
    if teller is not None and not config.option.collectonly and not hasattr(config, "workerinput"):
        prepare(teller.write_line, all_tests=config.args_source is not pytest.Config.ArgsSource.ARGS)


@pytest.fixture(autouse=True)
def no_stop_is_remembered() -> Iterator[None]:
    """Reset stop signals after each test, since executors attribute a child's end to them."""
    yield
    STOP.reset()


@pytest.fixture(scope="session")
def servers(testrun_uid: str) -> Iterator[Callable[[Major], TestServer]]:
    """Start the server of a version on first use; the processes of one run share it."""
    with ExitStack() as started:

        @cache
        def server_of(major: Major) -> TestServer:
            server = started.enter_context(shared_server(major, Path(testrun_uid)))
            server.template("migrated", migrate)
            return server

        yield server_of


@pytest.fixture(scope="session")
def cluster(testrun_uid: str) -> Iterator[Path]:
    """Yield the home of a stopped server with a migrated database; the processes of one run share it."""
    with shared_cluster(Path(testrun_uid), migrate) as home:
        yield home


@pytest.fixture
def major() -> Major:
    """Return the version of PostgreSQL."""
    return 18


@pytest.fixture
def server(servers: Callable[[Major], TestServer], major: Major) -> TestServer:
    """Return the running server."""
    return servers(major)


@pytest.fixture
def dsn(server: TestServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a private, migrated, empty database, as its owner."""
    with server.lend("migrated", with_transport="transport" in request.fixturenames) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(server: TestServer) -> Iterator[str]:
    """Yield the URL of a database that was never migrated, as its owner."""
    with server.clone() as dsn:
        yield dsn


@pytest.fixture
def embedded_home() -> Iterator[Path]:
    """Lend a home folder for an embedded server, which is stopped and removed with all its files.

    Not pytest's own folder: that one is private, so the server of root keeps its files outside of it.
    """
    with swept_home(uuid4().hex[:12]) as home:
        yield home


@pytest.fixture
def connections(server: TestServer, dsn: str) -> Iterator[KeptConnections]:
    """Yield connections to the test's database; those to a lent one stay open for the next test."""
    with server.kept(dsn) as connections:
        yield connections


@pytest.fixture
def owner(connections: KeptConnections) -> Owner:
    """Connect to the test's database with all privileges."""
    return connections.owner()


@pytest.fixture
def transport(dsn: str, connections: KeptConnections) -> Iterator[Transport]:
    """Yield a transport with the privileges of service_role only."""
    yield connections.transport()
    require_disconnection(dsn, connections)


@pytest.fixture
def queue(transport: Transport) -> Queue:
    """Return the queue on the test's database."""
    return Queue(transport)


@pytest.fixture
def stand_in(dsn: str, connections: KeptConnections) -> Iterator[StandIn]:
    """Yield a Supabase project over the test's database."""
    with supabase(dsn, kept=connections.postgrest()) as stand_in:
        yield stand_in


@pytest.fixture
def age(owner: Owner) -> Age:
    """Return a function that makes a job older, instead of sleeping."""

    def age(job: UUID | Job, seconds: float) -> None:
        job_id = job.id if isinstance(job, Job) else job
        changed = owner.execute(
            "update public.jobs set (created_at, next_run_at, lease_expires_at, claimed_at, started_at, finished_at)"
            " = row (created_at - passed, next_run_at - passed, lease_expires_at - passed, claimed_at - passed,"
            " started_at - passed, finished_at - passed)"
            " from make_interval(secs => %s) as passed where id = %s",
            (seconds, job_id),
        ).rowcount
        assert changed == 1, f"There is no job {job_id} to age."

    return age


@pytest.fixture
def lose(owner: Owner) -> Lose:
    """Expire leases and recover in one transaction, so that neither a renewal nor another recovery comes between."""

    def lose(*jobs: UUID) -> None:
        with owner.transaction():
            owner.execute(
                "update public.jobs set lease_expires_at = now() - interval '1 hour' where id = any(%s)", (list(jobs),)
            )
            row = owner.execute("select public.recover_leases()").fetchone()
        assert row
        assert row[0]["requeued"] == len(jobs)

    return lose


def require_disconnection(dsn: str, connections: KeptConnections) -> None:
    """Require that the server has no connection of a transport but the kept ones, at the latest at the test's end."""
    connections.is_closed_alone = connections.is_lent  # tested when the database is restored
    if not connections.is_lent:
        assert_disconnected(dsn, connections.idle_processes)


def assert_disconnected(dsn: str, kept: Callable[[], Collection[int]] = tuple) -> None:
    """Wait until the server has closed every connection of a transport but those of the kept processes."""
    query = "select from pg_stat_activity where datname = %s and application_name = 'cogo' and pid <> all (%s)"
    watcher, database = _watcher(make_conninfo(dsn, dbname="postgres")), conninfo_to_dict(dsn)["dbname"]
    deadline = time.monotonic() + 5
    while open_ones := watcher.execute(query, (database, list(kept()))).rowcount:
        assert time.monotonic() < deadline, f"{open_ones} connections of the closed transport are still open."
        time.sleep(0.005)


@cache
def _watcher(dsn: str) -> Owner:
    """Keep a connection to a server open: a new one for each test would take 3 ms."""
    return psycopg.connect(dsn, autocommit=True)
