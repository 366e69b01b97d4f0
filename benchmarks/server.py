"""The PostgreSQL server of a benchmark, which is started for it and removed afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.embedded import server as embedded

SETTINGS: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""All other settings are the defaults: every commit waits for the disk."""

SHOWN: Final = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "max_connections",
    "autovacuum",
    "jit",
)

DEBIAN_BINARIES: Final = Path("/usr/lib/postgresql/15/bin")


class BenchServer:
    """A running server that provides copies of template databases.

    Attributes:
        admin: An autocommit connection to the database `postgres`.
        binaries: The folder of pgbench, if it is installed.
    """

    def __init__(self, server: EmbeddedServer, admin: "psycopg.Connection[Any]", binaries: Path) -> None:
        self._server = server
        self.admin = admin
        self.binaries = binaries
        self._templates: set[str] = set()

    @property
    def pid(self) -> int:
        """The pid of the postmaster."""
        pid = self._server.status().pid
        assert pid is not None
        return pid

    def settings(self) -> dict[str, str]:
        """Return the settings for the report."""
        rows = self.admin.execute("select name, current_setting(name) from unnest(%s::text[]) name", [list(SHOWN)])
        return dict(rows.fetchall())

    def dsn(self, database: str) -> str:
        """Return the URL of a database."""
        return self._server.dsn(database)

    def template(self, name: str, build: Callable[[str], object], *, of: str = "template1") -> str:
        """Create a template database, once per run; `build` must close its connections."""
        if name not in self._templates:
            self._run("create database {} template {} strategy file_copy", name, of)
            build(self.dsn(name))
            self._templates.add(name)
        return name

    @contextmanager
    def clone(self, template: str) -> Iterator[str]:
        """Yield the URL of a new copy, after a checkpoint."""
        name = f"run_{uuid4().hex[:12]}"
        self._run("create database {} template {} strategy file_copy", name, template)
        self.admin.execute("checkpoint")
        try:
            yield self.dsn(name)
        finally:
            self._run("drop database if exists {} with (force)", name)

    def _run(self, statement: LiteralString, *names: str) -> None:
        self.admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def bench_server(**settings: str) -> Iterator[BenchServer]:
    """Start a server (Debian's PostgreSQL 15 if it is installed), and remove it afterwards.

    Args:
        settings: Additional server settings.
    """
    binaries = DEBIAN_BINARIES if (DEBIAN_BINARIES / "postgres").exists() else None
    home = Path(tempfile.mkdtemp(prefix="cogo-benchmark-"))
    home.chmod(0o711)
    # Changed for this process only: the launcher takes no settings.
    usual = dict(embedded.SETTINGS)
    embedded.SETTINGS.update(SETTINGS | settings)
    server = EmbeddedServer(home, binaries=binaries, durable=True)
    try:
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            yield BenchServer(server, admin, binaries or DEBIAN_BINARIES)
    finally:
        embedded.SETTINGS.clear()
        embedded.SETTINGS.update(usual)
        server.stop()
        data = server.status().data_folder
        if not data.is_relative_to(home):
            shutil.rmtree(data.parent, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
