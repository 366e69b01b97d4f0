"""What a run is made of: a database with an audit, a way to it that can misbehave, workers, and the log of effects."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.chaos.plan import Way
from cogo_dagster_tests.chaos.workers import Workers, environment
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.faults import ProjectTrouble, Proxy, Trouble, proxied

_AUDIT: Final = Path(__file__).with_name("audit.sql")
_DISK: Final = "size=64m"


@dataclass
class World:
    """Everything that a run has.

    Attributes:
        owner: All rights, past the proxy.
        queue: The rights of service_role, past the proxy: the operator's and the producer's.
        trouble: Stands between the workers and the database.
        proxy: The same, over Postgres.
        stand_in: The project, over REST.
        full_disk: Whether the artifacts stand on a small disk of their own.
    """

    dsn: str
    folder: Path
    way: Way
    owner: Owner
    queue: Queue
    workers: Workers
    trouble: Trouble
    proxy: Proxy | None
    stand_in: StandIn | None
    store: ArtifactStore
    full_disk: bool

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts, over Postgres."""
        return self.folder / "home" / "artifacts"

    def remount(self, how: str) -> None:
        """Make the disk of the artifacts `ro` or `rw`; one that is being written stays writable."""
        words = ["mount", "-o", f"remount,{how}", str(self.artifacts)]
        subprocess.run(words, capture_output=True, check=False)

    @property
    def effects(self) -> Path:
        """The log of effects."""
        return self.folder / "effects.log"


@contextmanager
def world(dsn: str, folder: Path, way: Way, workers: int, *, small_disk: bool = False) -> Iterator[World]:
    """Build all of it over a migrated, empty database; everything ends with the block.

    Args:
        dsn: With all rights.
        folder: An empty folder.
        workers: Worker processes.
        small_disk: Put the artifacts on a disk of their own that can be filled, if this account may mount one.
    """
    with ExitStack() as stack:
        owner = stack.enter_context(
            psycopg.connect(
                dsn,
                autocommit=True,
                application_name="chaos",
                options="-c default_transaction_read_only=off -c statement_timeout=0 -c idle_session_timeout=0",
            )
        )
        owner.execute(_AUDIT.read_bytes())
        owner.execute("grant usage on schema chaos to service_role")
        transport = PostgresTransport(dsn, role="service_role")
        stack.callback(transport.close)
        proxy = stack.enter_context(proxied(dsn)) if way == "postgres" else None
        stand_in = stack.enter_context(supabase(dsn)) if way == "rest" else None
        if proxy is not None:
            database, trouble = {"COGO_DATABASE_URL": proxy.dsn}, proxy
            plain = {"COGO_DATABASE_URL": dsn}
        else:
            assert stand_in is not None
            database, trouble = project(stand_in), ProjectTrouble(stand_in.faults)  # type: ignore[assignment]
            plain = database
        full_disk = small_disk and proxy is not None and stack.enter_context(_disk(folder / "home" / "artifacts"))
        settings = load_settings(None, COGO_HOME=str(folder / "home"), **plain)
        application = stack.enter_context(open_application(settings))
        crew = Workers(folder, environment(folder, database), workers)
        stack.callback(crew.kill)
        yield World(
            dsn, folder, way, owner, Queue(transport), crew, trouble, proxy, stand_in, application.store, full_disk
        )


def project(stand_in: StandIn) -> dict[str, str]:
    """Return the variables that lead to a project."""
    return {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}


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
