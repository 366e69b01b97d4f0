"""A scratch database for a drill: on the configured server, or on a separate embedded one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cogo_dagster.queue.connect import connect, first_line
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.migrate import migrate


class DrillFailed(Exception):
    """The drill could not be run; the message states the reason."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch database.

    Attributes:
        dsn: Its connection string.
        home: An empty folder for artifacts and logs.
    """

    dsn: str
    home: Path


@contextmanager
def scratch(own_dsn: str | None) -> Iterator[Scratch]:
    """Create and migrate a database; drop it at the end, even if there are connections.

    Args:
        own_dsn: A database of the server to use; None starts an embedded server.

    Raises:
        DrillFailed: The role may not create databases.
    """
    with tempfile.TemporaryDirectory(prefix="cogo-drill-") as folder:
        home = Path(folder)
        if own_dsn is None:
            server = EmbeddedServer(home, durable=False)
            with server.running():
                migrate(server.dsn())
                yield Scratch(server.dsn(), home)
        else:
            with _created(own_dsn) as dsn:
                migrate(dsn)
                yield Scratch(dsn, home)


@contextmanager
def _created(own_dsn: str) -> Iterator[str]:
    name = f"cogo_drill_{uuid4().hex[:12]}"
    with connect(own_dsn, wait_seconds=60, application_name="cogo drill") as connection:
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise DrillFailed(
                f"A scratch database cannot be created on this server ({first_line(error)}): use --embedded."
            ) from None
        try:
            yield make_conninfo(own_dsn, dbname=name)
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
