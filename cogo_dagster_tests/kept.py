"""Connections that tests use one after another: a new one plans all that it calls, which takes the server 12 ms."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.supabase.postgrest import Postgrest

_Connection = psycopg.Connection[Any]
_Kind = TypeVar("_Kind", PostgresTransport, Postgrest, _Connection)
_Idle = Sequence[_Connection] | None
"""Idle connections; None if one of them is in use or broken."""

_REPORT: Final = b"select pg_stat_force_next_flush()"
"""Lets the session report its counters before the end of the message, instead of a second later."""

_DISCARD: Final = (
    b"close all; set session authorization default; reset all; deallocate all; unlisten *; "
    b"select pg_advisory_unlock_all(); discard sequences; discard temp; "
)
"""Forgets the settings, locks and channels of the session, but not its plans, as `discard all` would."""


class KeptConnections:
    """A transport, a stand-in for PostgREST and a connection of the owner to one database, each opened on first use.

    Args:
        dsn: URL of the database, as its owner.
        is_lent: Whether another test will use them.

    Attributes:
        is_closed_alone: Whether all other connections of transports must be closed at the end of the test.
    """

    def __init__(self, dsn: str, *, is_lent: bool = False) -> None:
        self._dsn = dsn
        self.is_lent = is_lent
        self.is_closed_alone = False
        self._transport: PostgresTransport | None = None
        self._postgrest: Postgrest | None = None
        self._owner: _Connection | None = None
        self._used: set[object] = set()
        self._is_hidden = False

    def transport(self) -> PostgresTransport:
        """Return the transport, with the privileges of service_role only."""
        if self._transport is None:
            self._transport, self._is_hidden = PostgresTransport(self._dsn, role="service_role"), False
        self._name(is_hidden=False)
        self._used.add(self._transport)
        return self._transport

    def postgrest(self) -> Postgrest:
        """Return the stand-in for PostgREST."""
        if self._postgrest is None:
            self._postgrest = Postgrest(self._dsn)
        self._used.add(self._postgrest)
        return self._postgrest

    def owner(self) -> _Connection:
        """Return the owner's connection, in autocommit."""
        if self._owner is None:
            # It prepares no statements, because each test discards those of its session.
            self._owner = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        self._used.add(self._owner)
        return self._owner

    def idle_processes(self) -> set[int]:
        """Return the server's processes of the connections that can be used again."""
        return set().union(*self._processes())

    def hide(self) -> None:
        """Let a test that does not use the transport count the connections of its own ones only."""
        self._name(is_hidden=True)

    def finish(self) -> None:
        """Let the sessions that a test has used report their counters; close what the next test cannot use."""
        self._transport = self._finished(self._transport, _of_transport, _REPORT)
        self._postgrest = self._finished(self._postgrest, Postgrest.idle_connections, _REPORT)
        self._owner = self._finished(self._owner, _of_owner, _DISCARD + _REPORT)
        self._used.clear()

    def close_lost(self, running: Collection[int]) -> None:
        """Close the connections whose processes the server has ended.

        Args:
            running: The processes of the database that the server has.
        """
        transport, postgrest, owner = (bool(processes - set(running)) for processes in self._processes())
        self._transport = _closed_if(transport, self._transport)
        self._postgrest = _closed_if(postgrest, self._postgrest)
        self._owner = _closed_if(owner, self._owner)

    def close(self) -> None:
        """Close all connections."""
        for kept in (self._transport, self._postgrest, self._owner):
            if kept is not None:
                kept.close()

    def _processes(self) -> tuple[set[int], set[int], set[int]]:
        """Return the processes of the transport, of the stand-in for PostgREST and of the owner's connection."""
        return (
            _of(_of_transport(self._transport) if self._transport else None),
            (self._postgrest.idle_processes() if self._postgrest else None) or set(),
            _of(_of_owner(self._owner) if self._owner else None),
        )

    def _finished(self, kept: _Kind | None, idle: Callable[[_Kind], _Idle], statements: bytes) -> _Kind | None:
        if kept is None or kept not in self._used:
            return kept
        connections = idle(kept)
        is_usable = connections is not None
        try:
            for connection in connections or ():
                executed(connection, statements)
        except psycopg.Error:
            is_usable = False
        return _closed_if(not is_usable, kept)

    def _name(self, *, is_hidden: bool) -> None:
        if self._transport is not None and self._is_hidden != is_hidden:
            statement = b"set application_name = 'kept'" if is_hidden else b"reset application_name"
            for connection in _of_transport(self._transport) or ():
                connection.execute(statement)
            self._is_hidden = is_hidden


def executed(connection: _Connection, statements: bytes) -> PGresult:
    """Execute statements in one message, in a tenth of the time of a cursor; return the result of the last."""
    result = connection.pgconn.exec_(statements)
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(result)
    return result


def _closed_if(is_unusable: bool, kept: _Kind | None) -> _Kind | None:
    if is_unusable and kept is not None:
        kept.close()
        return None
    return kept


def _of_transport(transport: PostgresTransport) -> _Idle:
    pool = transport._pool
    if pool._closed or pool._permits.qsize() < pool._size:
        return None
    return [idle.connection for idle in pool._idle if not idle.connection.closed]


def _of_owner(owner: _Connection) -> _Idle:
    usable = not owner.closed and owner.autocommit and owner.info.transaction_status == TransactionStatus.IDLE
    return [owner] if usable else None


def _of(connections: _Idle) -> set[int]:
    return {connection.pgconn.backend_pid for connection in connections or ()}
