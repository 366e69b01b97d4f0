"""The server of a run: started for it, with its own databases, gone afterwards."""

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
"""Beside them, everything is as it is by default: every commit waits for the disk."""

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
    """A running server that hands out copies of databases.

    Attributes:
        admin: A connection in autocommit to the database `postgres`.
        binaries: Where pgbench is, if anywhere.
    """

    def __init__(self, server: EmbeddedServer, admin: "psycopg.Connection[Any]", binaries: Path) -> None:
        self._server = server
        self.admin = admin
        self.binaries = binaries
        self._templates: set[str] = set()

    @property
    def pid(self) -> int:
        """The postmaster's."""
        pid = self._server.status().pid
        assert pid is not None
        return pid

    def settings(self) -> dict[str, str]:
        """Return the settings that a reader will ask for."""
        rows = self.admin.execute("select name, current_setting(name) from unnest(%s::text[]) name", [list(SHOWN)])
        return dict(rows.fetchall())

    def dsn(self, database: str) -> str:
        """Return the URL of a database."""
        return self._server.dsn(database)

    def template(self, name: str, build: Callable[[str], object], *, of: str = "template1") -> str:
        """Make a database to copy, once a run; `build` leaves no connection open."""
        if name not in self._templates:
            self._run("create database {} template {} strategy file_copy", name, of)
            build(self.dsn(name))
            self._templates.add(name)
        return name

    @contextmanager
    def clone(self, template: str) -> Iterator[str]:
        """Lend the URL of a fresh copy; the server has just written a checkpoint."""
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
    """Start a server of our own, Debian's PostgreSQL 15 where there is one, and remove it afterwards.

    Args:
        settings: Server settings beside the usual ones of a run.
    """
    binaries = DEBIAN_BINARIES if (DEBIAN_BINARIES / "postgres").exists() else None
    home = Path(tempfile.mkdtemp(prefix="cogo-benchmark-"))
    home.chmod(0o711)
    # Of this process only; the launcher has no settings of its users' own.
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
