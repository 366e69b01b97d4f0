"""The parts of a run: an audited database, a faulty connection to it, workers, and the log of effects."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.chaos.clocks import sweep
from cogo_dagster_tests.chaos.dagster_side import DagsterSide, dagster_side
from cogo_dagster_tests.chaos.plan import Way
from cogo_dagster_tests.chaos.workers import Workers, environment
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.faults import ProjectTrouble, Proxy, Trouble, proxied

AUDIT: Final = Path(__file__).with_name("audit.sql")
_DISK: Final = "size=64m"
_BACK_SECONDS: Final = 60.0

Row = tuple[object, ...]


class Owner:
    """A connection with all privileges, past the proxy, which reconnects after a restart of the server."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.database = str(conninfo_to_dict(dsn)["dbname"])
        self.connection = self._connect()

    def execute(self, statement: str, arguments: tuple[object, ...] = ()) -> list[Row]:
        """Execute a statement, again if the connection was lost; return its rows."""
        deadline = time.monotonic() + _BACK_SECONDS
        while True:
            try:
                cursor = self.connection.execute(statement.encode(), arguments or None)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                with suppress(psycopg.OperationalError):
                    self.close()
                    self.connection = self._connect()

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()

    def _connect(self) -> "psycopg.Connection[Row]":
        options = "-c default_transaction_read_only=off -c statement_timeout=0 -c idle_session_timeout=0"
        return psycopg.connect(
            self._dsn, autocommit=True, application_name="chaos", options=options, connect_timeout=10
        )


@dataclass
class World:
    """All parts of a run.

    Attributes:
        queue: The queue past the proxy, with the privileges of service_role, for operators and the producer.
        trouble: The faults between the workers and the database.
        proxy: The TCP proxy before the database or before the project.
        stand_in: The project, over REST.
        full_disk: Whether artifacts are on a small separate disk.
        server: The database server, if the run may restart it.
        dagster: Dagster's instance of this run, if Dagster takes part.
    """

    dsn: str
    folder: Path
    way: Way
    owner: Owner
    queue: Queue
    workers: Workers
    trouble: Trouble
    proxy: Proxy
    stand_in: StandIn | None
    store: ArtifactStore
    full_disk: bool
    server: EmbeddedServer | None
    dagster: DagsterSide | None

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts, over Postgres."""
        return self.folder / "home" / "artifacts"

    def remount(self, how: str) -> None:
        """Remount the disk of the artifacts `ro` or `rw`; a disk that is being written stays writable."""
        words = ["mount", "-o", f"remount,{how}", str(self.artifacts)]
        subprocess.run(words, capture_output=True, check=False)

    @property
    def effects(self) -> Path:
        """The log of effects."""
        return self.folder / "effects.log"

    def numbers(self, statement: str) -> list[int]:
        """Return the numbers that a statement returns, over a new connection."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="chaos", connect_timeout=10) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return [int(number) for number in row]


@contextmanager
def world(
    dsn: str,
    folder: Path,
    way: Way,
    workers: int,
    *,
    small_disk: bool = False,
    server: EmbeddedServer | None = None,
    daemon: bool = False,
    dagster_runs: bool = True,
) -> Iterator[World]:
    """Set up all parts over a migrated, empty database; they are removed at the end of the context.

    Args:
        dsn: The database as its owner.
        folder: An empty folder.
        workers: Number of worker processes, besides a run of Dagster.
        small_disk: Whether to store artifacts on a small separate disk, if this account may mount one.
        server: The database's server, if it may be restarted.
        daemon: Whether Dagster's daemon launches runs too.
        dagster_runs: Whether a run of Dagster executes jobs besides the workers.
    """
    with ExitStack() as stack:
        owner = Owner(dsn)
        stack.callback(owner.close)
        owner.execute(AUDIT.read_text())
        owner.execute("grant usage on schema chaos to service_role")
        transport = PostgresTransport(dsn, role="service_role")
        stack.callback(transport.close)
        trouble: Trouble
        if way == "postgres":
            stand_in, proxy = None, stack.enter_context(proxied(dsn))
            trouble, plain = proxy, {"COGO_DATABASE_URL": dsn}
            database = {"COGO_DATABASE_URL": proxy.dsn}
        else:
            stand_in = stack.enter_context(supabase(dsn))
            proxy = stack.enter_context(proxied(stand_in.url))
            trouble, plain = ProjectTrouble(stand_in.faults), project(stand_in.url)
            database = project(proxy.dsn)
        full_disk = small_disk and stand_in is None and stack.enter_context(_disk(folder / "home" / "artifacts"))
        settings = load_settings(None, COGO_HOME=str(folder / "home"), **plain)
        application = stack.enter_context(open_application(settings))
        given = environment(folder, database)
        dagster = None
        if daemon or dagster_runs:
            dagster = stack.enter_context(dagster_side(owner, dsn, folder, given, plain, daemon=daemon))
        crew = Workers(folder, given, workers, dagster)
        stack.callback(sweep)
        stack.callback(crew.kill)
        yield World(
            dsn,
            folder,
            way,
            owner,
            Queue(transport),
            crew,
            trouble,
            proxy,
            stand_in,
            application.store,
            full_disk,
            server,
            dagster,
        )


def project(url: str) -> dict[str, str]:
    """Return the variables for a project."""
    return {"SUPABASE_URL": url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}


@contextmanager
def _disk(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", _DISK, "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            with suppress(OSError):
                subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
