"""The transport over a Postgres connection: a psycopg pool."""

import json
import random
import time
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from threading import Lock
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from cogo_dagster.queue.connect import connect, first_line
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError, TransportError, error_from_sqlstate
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import Json

_TRIES: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.1
_TURNS: Final = 4

# Connection failures, by SQLSTATE class or code: the server goes down, is full, or cuts us off.
_CONNECTION_LOST: Final = ("08", "57P01", "57P02", "57P03", "53300")


class PostgresTransport:
    """Calls the engine through a pool of connections.

    A call whose connection broke is repeated: every function of the engine stands a repeat.

    Args:
        dsn: libpq connection string or URL.
        max_connections: Most connections open at once.
        role: Role to assume on each connection (`service_role` in the conformance tests).
        prepare: Whether to prepare statements; False behind a transaction pooler.
    """

    def __init__(self, dsn: str, *, max_connections: int = 8, role: str | None = None, prepare: bool = True) -> None:
        self.dsn = dsn
        self._role = role
        self._pool = ConnectionPool(
            dsn,
            min_size=0,
            max_size=max_connections,
            timeout=10,
            max_idle=300,
            reconnect_timeout=5,  # its pauses double: the stock five minutes leave the pool asleep after an outage
            open=False,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 3 if prepare else None,
                "connect_timeout": 5,
                "application_name": "cogo",
                "keepalives_idle": 15,
            },
        )
        self._opened = False
        self._opening = Lock()

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call one function; see `Transport.call`."""
        statement = _statement(function, tuple(arguments))
        document = json.dumps(arguments, separators=(",", ":"))
        pause_seconds = _FIRST_PAUSE_SECONDS
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                return self._execute(statement, document)
            except TransportError:
                if not tries_left:
                    raise
                # A restart of the server broke them all: one of the others would only fail again.
                self._pool.check()
            time.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause_seconds *= 3
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the pool."""
        if self._opened:
            self._pool.close(timeout=5)

    def _execute(self, statement: sql.Composed, document: str) -> Json:
        self._open()
        try:
            with self._pool.connection() as connection:
                row = connection.execute(statement, (document,)).fetchone()
                return row[0] if row else None
        except PoolTimeout:
            raise DatabaseUnavailable(self._unreachable()) from None
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _open(self) -> None:
        with self._opening:
            if not self._opened:
                connect(self.dsn).close()
                self._pool.open()
                self._opened = True

    def _configure(self, connection: psycopg.Connection) -> None:
        if self._role:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(self._role)))

    def _translated(self, error: psycopg.Error) -> QueueError:
        state = error.sqlstate
        if state is None or state.startswith(_CONNECTION_LOST):
            return TransportError(
                f"The connection to the database broke ({first_line(error)}): the call may be repeated."
            )
        return error_from_sqlstate(state, error.diag.message_primary or str(error), error.diag.message_detail)

    def _unreachable(self) -> str:
        try:
            connect(self.dsn).close()
        except DatabaseUnavailable as unavailable:
            return str(unavailable)
        return "The database gave no connection within 10 s: it has too many clients, or too few connections."


def is_transaction_pooled(dsn: str) -> bool:
    """Say whether a pooler lends a server connection for one transaction only, so that nothing stays with a session.

    Behind a pooler of any kind the process that answers is not the one that was announced at login. If it is, nothing
    more is asked. Otherwise two clients take turns: where each keeps a process of its own the pooler works by session,
    where they share or change them, by transaction. The port (6543 on Supabase) would only be a hint.

    Raises:
        DatabaseUnavailable: There is no connection to ask over.
    """
    with closing(connect(dsn)) as one:
        if _process(one) == one.info.backend_pid:
            return False
        with closing(connect(dsn)) as other:
            turns = [(_process(one), _process(other)) for _ in range(_TURNS)]
    mine, theirs = map(set, zip(*turns, strict=True))
    return len(mine) > 1 or len(theirs) > 1 or bool(mine & theirs)


def _process(connection: psycopg.Connection[TupleRow]) -> int:
    row = connection.execute("select pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0


@lru_cache(maxsize=256)
def _statement(function: str, names: tuple[str, ...]) -> sql.Composed:
    # PostgREST calls a function in this very way, so both transports coerce arguments alike.
    types = FUNCTIONS[function]
    if not names:
        return sql.SQL("select {}() where %s::text is not null").format(sql.Identifier("public", function))
    return sql.SQL("select {function}({passed}) from json_to_record(%s::json) as given ({declared})").format(
        function=sql.Identifier("public", function),
        passed=sql.SQL(", ").join(sql.SQL("{0} := given.{0}").format(sql.Identifier(name)) for name in names),
        declared=sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(types[name])) for name in names
        ),
    )
