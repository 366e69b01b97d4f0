"""The transport over Postgres connections, with a pool."""

import itertools
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.adapt import AdaptersMap
from psycopg.types.json import set_json_loads

from cogo_dagster.queue.connect import Connection, connect, connected, first_line, translated
from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import (
    TRIES,
    UNKNOWN,
    DatabaseUnavailable,
    InvalidArgument,
    QueueError,
    Rule,
    rule_of,
    rule_of_exception,
)
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.limits import CALL_SECONDS, REPLY_SECONDS, STATEMENT_SECONDS, call_limit
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Ended
from cogo_dagster.queue.transports.in_loop import LoopCall, Statement
from cogo_dagster.queue.transports.pool import Pool, PooledConnection
from cogo_dagster.queue.transports.retries import Failed, encoded, logged, with_retries

_TRIES: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.1
_TURNS: Final = 4
_NUMBERS: Final = itertools.count()
_MIN_SECONDS: Final = 0.05

_LONG_SECONDS: Final[Mapping[str, int]] = dict.fromkeys(
    ("cleanup_artifacts", "purge_jobs", "replay_dlq", "retry_failed", "weekly_numbers"), 60
)
"""Bulk operations and weekly numbers may take longer if the database allows it."""

_CURRENT_TIMEOUT: Final = sql.SQL("pg_catalog.current_setting('statement_timeout')")
_SET_TIMEOUT: Final = sql.SQL(
    "select {own}, pg_catalog.set_config('statement_timeout',"
    " case when {own}::interval between '1us' and '{seconds}s' then {own} else '{seconds}s' end, {local})"
)
"""A lower timeout of the role or the database is kept."""


class PostgresTransport:
    """Calls the queue's functions through a connection pool.

    A call whose connection broke is repeated: every function is idempotent.

    Args:
        dsn: libpq connection string or URL.
        max_connections: Maximum number of connections.
        role: Role to assume on each connection (`service_role` in the conformance tests).
        prepare: Whether prepared statements and settings persist in a session; False behind a transaction pooler.
    """

    def __init__(self, dsn: str, *, max_connections: int = 8, role: str | None = None, prepare: bool = True) -> None:
        self.dsn = dsn
        self._role = role
        self._prepare = prepare
        self._adapters = AdaptersMap(psycopg.adapters)
        set_json_loads(decode, self)
        self._pool = Pool(self._opened, max_connections)
        self._was_connected = False

    @property
    def adapters(self) -> AdaptersMap:
        """Adapters for reading values."""
        return self._adapters

    @property
    def connection(self) -> None:
        """None: psycopg's adaptation context requires the attribute."""

    def call(self, function: str, arguments: Mapping[str, object]) -> Json:
        """Call one function; see `Transport.call`."""
        document = encoded(arguments)
        statement = _statement(function, tuple(arguments))
        long_seconds = _LONG_SECONDS.get(function)
        return with_retries(
            lambda seconds: self._once(function, statement, document, seconds, long_seconds),
            tries=_TRIES,
            first_pause_seconds=_FIRST_PAUSE_SECONDS,
            seconds=CALL_SECONDS if long_seconds is None else 2.0 * long_seconds,
        )

    def start(self, function: str, arguments: Mapping[str, object], ended: Ended) -> LoopCall | None:
        """Start a call whose reply the running event loop reads; None if no connection is free: see `LoopTransport`."""
        taken = self._pool.take_idle(function) if self._prepare else None
        if taken is None:
            return None
        try:
            document = encoded(arguments).encode()
        except QueueError:  # raised again by `call`
            self._pool.put_back(taken)
            return None
        name, text = _prepared(function, tuple(arguments))

        def put_back(reply: bytes | None, error: Exception | None) -> None:
            if error is None:
                taken.functions.add(function)
                taken.prepared.add(name)
            else:
                taken.connection.close()
            self._pool.put_back(taken)
            ended(reply, error)

        statement = Statement(name, None if name in taken.prepared else text)
        return LoopCall(taken.connection, statement, document, put_back, seconds=REPLY_SECONDS)

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    def _once(self, function: str, statement: bytes, document: str, seconds: float, long_seconds: int | None) -> Json:
        taken = self._taken(function, seconds)
        connection = taken.connection
        try:
            connection.wait_seconds = min(seconds, REPLY_SECONDS if long_seconds is None else long_seconds + 2.0)
            if self._prepare and long_seconds is None:
                row = connection.execute(statement, (document,)).fetchone()
            else:
                row = _with_timeout(connection, statement, document, long_seconds or STATEMENT_SECONDS)
            taken.functions.add(function)
            return row[0] if row else None
        except psycopg.Error as error:
            raise self._failed(connection, error) from error
        except Exception as error:
            connection.close()  # a reply may be partly read
            raise logged(Failed(UNKNOWN, type(error).__name__, first_line(error))) from error
        except BaseException:
            connection.close()
            raise
        finally:
            self._pool.put_back(taken)

    def _taken(self, function: str, seconds: float) -> PooledConnection:
        try:
            taken = self._pool.take(min(seconds, REPLY_SECONDS), function)
        except QueueError as error:
            # A server that was reachable may be restarting; for one that never was, a wait only delays the error.
            tries = TRIES if self._was_connected and isinstance(error, DatabaseUnavailable) else 1
            raise Failed(Rule(type(error), "{message}", tries), type(error).__name__, str(error)) from error
        except Exception as error:
            raise logged(Failed(UNKNOWN, type(error).__name__, first_line(error))) from error
        self._was_connected = True
        return taken

    def _opened(self, seconds: float) -> Connection:
        with call_limit(max(seconds, _MIN_SECONDS)):
            connection = connect(
                self.dsn,
                context=self,
                application_name="cogo",
                prepare_threshold=3 if self._prepare else None,
            )
        try:
            self._configure(connection)
        except psycopg.Error as error:
            connection.close()
            failure = translated(error)
            raise DatabaseUnavailable(str(failure)) if isinstance(failure, InvalidArgument) else failure from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: Connection) -> None:
        if self._role:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(self._role)), prepare=False)
        if self._prepare:
            row = connection.execute(_timeout_of(STATEMENT_SECONDS), prepare=False).fetchone()
            connection.own_timeout = row[0] if row else None

    def _failed(self, connection: Connection, error: psycopg.Error) -> Failed:
        code = error.sqlstate or type(error).__name__
        rule = rule_of(code) if error.sqlstate else rule_of_exception(error)
        message = error.diag.message_primary or first_line(error)
        if rule.reconnects:
            connection.close()
            self._pool.expire_all()
        return logged(Failed(rule, code, message, error.diag.message_detail))


def is_transaction_pooled(dsn: str, check: Callable[[Connection], object] = lambda _: None) -> bool:
    """Return whether a pooler assigns server connections per transaction, so that no session state persists.

    Behind any pooler, the backend process of a query is not the process announced at login. If both are the same, no
    further query is made. Otherwise two clients are compared: if each keeps a process, the pooler works per session; if
    they share or change processes, per transaction. The port (6543 on Supabase) would only be a hint.

    Raises:
        QueueError: The connection could not be opened, or broke.
    """
    with connected(dsn, application_name="cogo") as first:
        check(first)
        if _process(first) == first.info.backend_pid:
            return False
        with connected(dsn) as second:
            turns = [(_process(first), _process(second)) for _ in range(_TURNS)]
    first_ids, second_ids = map(set, zip(*turns, strict=True))
    return len(first_ids) > 1 or len(second_ids) > 1 or bool(first_ids & second_ids)


def _process(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0


def _with_timeout(connection: Connection, statement: bytes, document: str, seconds: int) -> tuple[Any, ...] | None:
    """Execute in one transaction and one message with a statement timeout that does not persist."""
    timeout = _timeout_of(seconds, own=connection.own_timeout, local=True)
    cursor = psycopg.ClientCursor(connection)
    cursor.execute(b"%s; %s" % (timeout, statement), (document,))
    while cursor.nextset():
        pass
    return cursor.fetchone()


@lru_cache(maxsize=16)
def _timeout_of(seconds: int, *, own: str | None = None, local: bool = False) -> bytes:
    before = _CURRENT_TIMEOUT if own is None else sql.Literal(own)
    return _SET_TIMEOUT.format(own=before, seconds=seconds, local=local).as_bytes()


@lru_cache(maxsize=256)
def _prepared(function: str, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return a name, for one session, and the text of a call's prepared statement."""
    return b"%s_%d" % (function.encode(), next(_NUMBERS)), _statement(function, names).replace(b"%s", b"$1")


@lru_cache(maxsize=256)
def _statement(function: str, names: tuple[str, ...]) -> bytes:
    """Return the text of a call; composing it takes as long as the rest of the call."""
    # PostgREST calls functions in the same way, so both transports coerce arguments alike.
    types = FUNCTIONS[function]
    if not names:
        return sql.SQL("select {}() where %s::text is not null").format(sql.Identifier("public", function)).as_bytes()
    statement = sql.SQL("select {function}({passed}) from json_to_record(%s::json) as given ({declared})").format(
        function=sql.Identifier("public", function),
        passed=sql.SQL(", ").join(sql.SQL("{0} := given.{0}").format(sql.Identifier(name)) for name in names),
        declared=sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(types[name])) for name in names
        ),
    )
    return statement.as_bytes()
