"""Databases that tests use one after another: copying one takes eight times as long as deleting its rows."""

import time
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from cogo_dagster_tests.kept import KeptConnections

_CATALOGUES: Final = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_depend", "pg_event_trigger"),
    *("pg_extension", "pg_index", "pg_namespace", "pg_policy", "pg_proc", "pg_publication", "pg_rewrite"),
    *("pg_trigger", "pg_type"),
)

_OWN: Final = {"pg_attribute": " where attrelid >= 16384", "pg_proc": " where oid >= 16384"}
"""Most rows of these catalogues are PostgreSQL's own."""

_NEWEST: Final = "age('3'::xid) - min(age(xmin))"
"""The newest transaction of the rows, by numbers: a conversion of each one from text takes half of the time."""

_THIS_DATABASE: Final = "(select oid from pg_catalog.pg_database where datname = current_database())"

_SCHEMA: Final = " union all ".join(
    [
        *(f"select '{name}', count(*), {_NEWEST} from pg_catalog.{name}{_OWN.get(name, '')}" for name in _CATALOGUES),
        # Statistics of an earlier test's rows change the plans of the next one.
        "select 'statistics', count(*), null from pg_catalog.pg_statistic where starelid >= 16384",
        f"select 'settings', count(*), null from pg_catalog.pg_db_role_setting s where setdatabase = {_THIS_DATABASE}",
        f"select 'limits', datconnlimit, datallowconn::int from pg_catalog.pg_database where oid = {_THIS_DATABASE}",
    ]
)
"""A value for each catalogue, which any change of the schema changes."""

_SEQUENCES: Final = "select format('%I.%I', schemaname, sequencename), last_value, start_value from pg_sequences"

_WRITTEN: Final = """
select c.oid::regclass::text, pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
from pg_catalog.pg_class c
where c.relkind = 'r' and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  and pg_relation_size(c.oid) > 0
"""

_MAX_BYTES: Final = 1_000_000
"""To delete the rows of a larger table takes longer than to copy the template. Its indexes are not counted: the sizes
of their files take half of the time of a restoration."""

_VACUUM_BYTES: Final = 200_000
"""The deleted rows of a larger table, which take space until a vacuum, would make later tests slower."""

_OTHERS: Final = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
_DISCONNECT: Final = "select pg_terminate_backend(pid) from unnest(%s::int[]) pid"
_DISCONNECT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.002
"""The server's own wait for the end of a connection lasts at least 100 ms."""


@dataclass(frozen=True)
class State:
    """The schema, sequences and rows of a database.

    Attributes:
        rows: For each table that has any: their number, and the sum of the transactions that wrote them.
    """

    schema: list[tuple[Any, ...]]
    sequences: list[tuple[Any, ...]]
    rows: dict[str, Any]


class Spare:
    """A copy of a template.

    Args:
        name: The name of the database.
        dsn: Its URL, as its owner.

    Attributes:
        kept: Connections that its users use one after another.
    """

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self.dsn = dsn
        self.kept = KeptConnections(dsn)
        self._open: psycopg.Connection[Any] | None = None

    def state(self) -> State:
        """Return the state."""
        return State(
            self._read(_SCHEMA.encode()),
            self._read(_SEQUENCES),
            {table: self._rows(table) for table, _ in self._read(_WRITTEN)},
        )

    def restore(self, template: State) -> bool:
        """Delete the rows and close all connections but the kept ones.

        Returns:
            False if more than rows has changed, or too many.
        """
        try:
            if not self._disconnect_others():
                return False
            if self._read(_SCHEMA.encode()) != template.schema:
                return False
            written = self._read(_WRITTEN)
            if any(size > _MAX_BYTES for _, size in written):
                return False
            if any(self._rows(table) != rows for table, rows in template.rows.items()):
                return False
            self._delete([table for table, _ in written if table not in template.rows])
            self._restore_sequences(template)
            for table in (table for table, size in written if size > _VACUUM_BYTES):
                self._connection.execute(f"vacuum {table}".encode())
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Close all connections."""
        self.kept.close()
        if self._open is not None:
            self._open.close()

    @property
    def _connection(self) -> "psycopg.Connection[Any]":
        if self._open is None:
            self._open = psycopg.connect(self.dsn, autocommit=True, application_name="tests")
        return self._open

    def _disconnect_others(self) -> bool:
        deadline = time.monotonic() + _DISCONNECT_SECONDS
        kept = self.kept.reset(self._others())
        while others := self._others() - kept:
            if time.monotonic() > deadline:
                return False
            self._connection.execute(_DISCONNECT, (list(others),))
            time.sleep(_LOOK_SECONDS)
        return True

    def _others(self) -> set[int]:
        return {pid for (pid,) in self._read(_OTHERS)}

    def _rows(self, table: str) -> Any:
        return self._read(f"select count(*), sum(xmin::text::bigint) from {table}".encode())

    def _read(self, query: LiteralString | bytes) -> list[tuple[Any, ...]]:
        """Execute a query of every restoration: to plan it takes longer than to execute it."""
        return self._connection.execute(query, prepare=True).fetchall()

    def _delete(self, tables: list[str]) -> None:
        if tables:
            # No trigger runs, so the order of the tables does not matter.
            deletes = "; ".join(f"delete from {table}" for table in tables)
            self._connection.execute(f"begin; set local session_replication_role = replica; {deletes}; commit".encode())

    def _restore_sequences(self, template: State) -> None:
        for row in self._read(_SEQUENCES):
            if row not in template.sequences:
                [(name, last, start)] = [known for known in template.sequences if known[0] == row[0]]
                call = sql.SQL("select setval({}, {}, {})").format(name, last or start, last is not None)
                self._connection.execute(call)
