"""Connections that tests use one after another: a new one plans all that it calls, which takes the server 12 ms."""

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.supabase.postgrest import Postgrest

_Connection = psycopg.Connection[Any]
_Kind = TypeVar("_Kind", PostgresTransport, Postgrest, _Connection)
_Processes = set[int] | None
"""The server's processes of idle connections; None if one of them is in use or broken."""


_DISCARD: Final = (
    "close all; set session authorization default; reset all; deallocate all; unlisten *; "
    "select pg_advisory_unlock_all(); discard sequences; discard temp"
)


class KeptConnections:
    """A transport, a stand-in for PostgREST and a connection of the owner to one database, each opened on first use.

    Args:
        dsn: URL of the database, as its owner.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._transport: PostgresTransport | None = None
        self._postgrest: Postgrest | None = None
        self._owner: _Connection | None = None

    def transport(self) -> PostgresTransport:
        """Return the transport, with the privileges of service_role only."""
        if self._transport is None:
            self._transport = PostgresTransport(self._dsn, role="service_role")
        _execute(self._transport, "reset application_name")
        return self._transport

    def postgrest(self) -> Postgrest:
        """Return the stand-in for PostgREST."""
        if self._postgrest is None:
            self._postgrest = Postgrest(self._dsn)
        return self._postgrest

    def owner(self) -> _Connection:
        """Return the owner's connection, in autocommit."""
        if self._owner is None:
            # It prepares no statements, because each test discards those of its session.
            self._owner = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        return self._owner

    def idle_processes(self) -> set[int]:
        """Return the server's processes of the connections that can be used again."""
        return {
            *((self._transport and _of_transport(self._transport)) or ()),
            *((self._postgrest and self._postgrest.idle_processes()) or ()),
            *((self._owner and _of_owner(self._owner)) or ()),
        }

    def reset(self, running: Collection[int]) -> set[int]:
        """Close what the next test cannot use; return the server's processes of the others.

        Args:
            running: The processes of the database that the server has.
        """
        self._transport = _usable(self._transport, _of_transport, _hide, running)
        self._postgrest = _usable(self._postgrest, Postgrest.idle_processes, lambda _: None, running)
        self._owner = _usable(self._owner, _of_owner, _discard, running)
        return self.idle_processes()

    def close(self) -> None:
        """Close all connections."""
        for kept in (self._transport, self._postgrest, self._owner):
            if kept is not None:
                kept.close()


def _usable(
    kept: _Kind | None,
    idle_processes: Callable[[_Kind], _Processes],
    reset: Callable[[_Kind], object],
    running: Collection[int],
) -> _Kind | None:
    if kept is None:
        return None
    processes = idle_processes(kept)
    if processes is not None and processes <= set(running):
        try:
            reset(kept)
        except psycopg.Error:
            pass
        else:
            return kept
    kept.close()
    return None


def _of_transport(transport: PostgresTransport) -> _Processes:
    pool = transport._pool
    if pool._closed or pool._permits.qsize() < pool._size:
        return None
    return {idle.connection.info.backend_pid for idle in pool._idle if not idle.connection.closed}


def _of_owner(owner: _Connection) -> _Processes:
    usable = not owner.closed and owner.autocommit and owner.info.transaction_status == TransactionStatus.IDLE
    return {owner.info.backend_pid} if usable else None


def _hide(transport: PostgresTransport) -> None:
    """Let a test that does not use the transport count the connections of its own ones only."""
    _execute(transport, "set application_name = 'kept'")


def _discard(owner: _Connection) -> None:
    """Forget the settings, locks and channels of the session, but not its plans, as `discard all` would."""
    owner.execute(_DISCARD)


def _execute(transport: PostgresTransport, statement: str) -> None:
    for idle in transport._pool._idle:
        if not idle.connection.closed:
            idle.connection.execute(statement.encode())
