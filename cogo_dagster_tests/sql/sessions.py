"""Two database sessions whose steps a test interleaves: one waits for the other, without sleeps."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner

LIKE_A_LARGE_TABLE = "-c deadlock_timeout=50ms -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"

_LOCKS = """
select case locktype when 'relation' then relation::text else concat_ws(' ', locktype, classid, objid, objsubid) end
from pg_locks
where pid = %s and locktype in ('relation', 'advisory') and mode <> 'AccessShareLock'
"""

_LOOK_SECONDS: Final = 0.002
"""A query without a pause takes time from the call that it waits for."""


class Session:
    """One connection with the rights of service_role that commits on request.

    Args:
        connection: Not in autocommit.
        owner: Another connection, which checks whether this one waits.
        thread: Runs its calls, one at a time.
    """

    def __init__(self, connection: psycopg.Connection, owner: Owner, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._owner = owner
        self._thread = thread

    def call(self, function: str, **arguments: Json) -> Json:
        """Call a function and leave the transaction open."""
        types = FUNCTIONS[function]
        passed = ", ".join(f"{name} := %({name})s::{types[name]}" for name in arguments)
        values = {name: Jsonb(value) if types[name] == "jsonb" else value for name, value in arguments.items()}
        row = self._connection.execute(f"select public.{function}({passed})".encode(), values).fetchone()
        assert row is not None
        return row[0]

    def call_and_wait(self, function: str, **arguments: Json) -> "Future[Json]":
        """Begin a call that must wait for another session, and return once it waits; it commits when it is done."""
        result = self._thread.submit(self.call_and_commit, function, **arguments)
        while not self._waits():
            assert not result.done(), f"{function} did not wait: {result.result()}"
            time.sleep(_LOOK_SECONDS)
        return result

    def begin(self, function: str, **arguments: Json) -> "Future[Json]":
        """Begin a call and return once it waits for another session or is done; it commits when it is done."""
        result = self._thread.submit(self.call_and_commit, function, **arguments)
        while not (result.done() or self._waits()):
            time.sleep(_LOOK_SECONDS)
        return result

    def call_and_commit(self, function: str, **arguments: Json) -> Json:
        """Call a function in its own transaction."""
        try:
            result = self.call(function, **arguments)
        except psycopg.Error:
            self._connection.rollback()
            raise
        self._connection.commit()
        return result

    def call_and_rollback(self, function: str, **arguments: Json) -> Json:
        """Call a function and roll back."""
        try:
            return self.call(function, **arguments)
        finally:
            self._connection.rollback()

    def locks_of(self, function: str, **arguments: Json) -> frozenset[str]:
        """Call a function and roll back; return the tables whose rows it may have locked, and its advisory locks."""
        try:
            self.call(function, **arguments)
            held = self._owner.execute(_LOCKS, (self._connection.info.backend_pid,)).fetchall()
        finally:
            self._connection.rollback()
        return frozenset(name for (name,) in held)

    def is_true(self, condition: str) -> bool:
        """Evaluate a condition in the transaction."""
        row = self._connection.execute(f"select {condition}".encode()).fetchone()
        return row is not None and row[0] is True

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()

    def rollback(self) -> None:
        """Roll the transaction back."""
        self._connection.rollback()

    def _waits(self) -> bool:
        blocked = "select cardinality(pg_blocking_pids(%s)) > 0"
        row = self._owner.execute(blocked, (self._connection.info.backend_pid,)).fetchone()
        return bool(row and row[0])


@contextmanager
def open_session(dsn: str, owner: Owner) -> Iterator[Session]:
    """Open a session that detects a deadlock at once, and plans joins as for a large table."""
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(dsn, options=LIKE_A_LARGE_TABLE) as connection,
    ):
        connection.execute("set role service_role")
        connection.commit()
        yield Session(connection, owner, thread)


def at_once(*calls: Callable[[], Json]) -> list[Json]:
    """Make the calls concurrently, one thread each, and return their results."""
    together = Barrier(len(calls))

    def begin(call: Callable[[], Json]) -> Json:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))
