"""Databases that tests use one after another: copying one takes eight times as long as deleting its rows.

What a test has written is known from PostgreSQL's counters of inserted, updated and deleted rows, which every session
reports at its end, and a session that stays open at the end of the test. To read them takes a tenth of the time of
reading the catalogues and the sizes of the tables, which only a test that has changed a catalogue needs.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg.pq.abc import PGresult

from cogo_dagster_tests.kept import KeptConnections, executed

_CATALOGUES: Final = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_depend", "pg_event_trigger"),
    *("pg_extension", "pg_index", "pg_namespace", "pg_policy", "pg_proc", "pg_publication", "pg_rewrite"),
    *("pg_trigger", "pg_type"),
)

_OWN: Final = {"pg_attribute": " where attrelid >= 16384", "pg_proc": " where oid >= 16384"}
"""Most rows of these catalogues are PostgreSQL's own."""

_NEWEST: Final = "age('3'::xid) - min(age(xmin))"
"""The newest transaction of the rows, by numbers: a conversion of each one from text takes half of the time."""

_SCHEMA: Final = " union all ".join(
    [
        *(f"select '{name}', count(*), {_NEWEST} from pg_catalog.{name}{_OWN.get(name, '')}" for name in _CATALOGUES),
        # Statistics of an earlier test's rows change the plans of the next one.
        "select 'statistics', count(*), null from pg_catalog.pg_statistic where starelid >= 16384",
    ]
)
"""A value for each catalogue, which any change of the schema changes."""

_SEQUENCES: Final = "select format('%I.%I', schemaname, sequencename), last_value, start_value from pg_sequences"

_TABLES: Final = """
select oid, oid::regclass::text as name from pg_catalog.pg_class
where relkind = 'r' and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
order by pg_class.oid
"""

_CHANGES: Final = "pg_stat_get_tuples_inserted({0}) + pg_stat_get_tuples_updated({0}) + pg_stat_get_tuples_deleted({0})"

_LOOK: Final = """
prepare look as select json_build_array(
  array(
    select array[a.pid::text, a.application_name] from pg_stat_get_activity(null) a
    where a.datid = {database} and a.pid <> pg_backend_pid()
  ),
  array(select count(*) from pg_catalog.pg_db_role_setting where setdatabase = {database})
    || array(select unnest(array[datconnlimit, datallowconn::int]) from pg_catalog.pg_database where oid = {database}),
  (select sum({changes}) from unnest({catalogues}::oid[]) c),
  array(select pg_stat_get_tuples_inserted(t) from unnest({tables}::oid[]) with ordinality o (t, n) order by n),
  array(select {changes_of_filled} from unnest({filled}::oid[]) with ordinality o (t, n) order by n),
  {sequences}
)
"""

_SIZES: Final = """
prepare sizes as select coalesce(json_agg(array[c.oid::bigint, size]), '[]')
from pg_catalog.pg_class c, lateral (
  select pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) size
) measured
where c.oid = any ($1::oid[]) and size > {bytes}
"""

_MAX_ROWS: Final = 10_000
_MAX_BYTES: Final = 1_000_000
"""To delete the rows of a larger table takes longer than to copy the template."""

_VACUUM_BYTES: Final = 200_000
"""The deleted rows of a larger table, which take space until a vacuum, would make later tests slower."""

_DISCONNECT: Final = "select pg_terminate_backend(pid) from unnest(%s::int[]) pid"
_DISCONNECT_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.002
"""The server's own wait for the end of a connection lasts at least 100 ms."""


@dataclass(frozen=True)
class State:
    """The schema, sequences and rows of a template.

    Attributes:
        tables: The names of all tables by their numbers, in the order of the numbers.
        sequences: For each sequence: its name, last value and start value.
        rows: For each table that has any: their number, and the sum of the transactions that wrote them.
    """

    schema: list[tuple[Any, ...]]
    tables: dict[int, str]
    sequences: list[tuple[Any, ...]]
    rows: dict[int, Any]


@dataclass(frozen=True)
class _Look:
    """What a restoration reads.

    Attributes:
        others: The processes of other sessions, with the names of their applications.
        settings: The number of settings, and the limits.
        catalogues: The number of changes of catalogues.
        inserted: For each table: the number of rows ever inserted.
        filled: For each table with rows of the template: the number of changes.
        sequences: For each sequence: its last value.
    """

    others: list[tuple[str, str]]
    settings: list[int]
    catalogues: int | None
    inserted: list[int]
    filled: list[int]
    sequences: list[int | None]


class Spare:
    """A copy of a template.

    Args:
        name: The name of the database.
        dsn: Its URL, as its owner.
        template: The state of the template; read from this unused copy if it is unknown.

    Attributes:
        kept: Connections that its users use one after another.
    """

    def __init__(self, name: str, dsn: str, template: State | None) -> None:
        self.name = name
        self.dsn = dsn
        self.kept = KeptConnections(dsn, is_lent=True)
        # The rows of any table are deleted in any order and without triggers.
        self._connection = psycopg.connect(
            dsn, autocommit=True, application_name="tests", options="-c session_replication_role=replica"
        )
        self.template = template or self._state()
        self._prepare()
        self._deletes: set[int] = set()
        self._last = self._look()

    def restore(self) -> bool:
        """Delete the rows and close all connections but the kept ones.

        Returns:
            False if more than rows has changed, or too many.

        Raises:
            AssertionError: A test has left a transport's connection open.
        """
        try:
            self.kept.finish()
            look = self._alone()
            return look is not None and self._is_like_template(look) and self._cleaned(look)
        except psycopg.Error:
            return False
        finally:
            self.kept.is_closed_alone = False

    def close(self) -> None:
        """Close all connections."""
        self.kept.close()
        self._connection.close()

    def _state(self) -> State:
        tables = dict(self._read(_TABLES))
        rows = {number: self._rows(name) for number, name in tables.items()}
        filled = {number: found for number, found in rows.items() if found[0][0]}
        return State(self._read(_SCHEMA.encode()), tables, self._read(_SEQUENCES), filled)

    def _prepare(self) -> None:
        template = self.template
        values = [f"(select case when is_called then last_value end from {name})" for name, _, _ in template.sequences]
        [(database,)] = self._read("select oid from pg_catalog.pg_database where datname = current_database()")
        catalogues = (f"pg_catalog.{name}" for name in (*_CATALOGUES, "pg_statistic"))
        text = _LOOK.format(
            database=database,
            changes=_CHANGES.format("c"),
            changes_of_filled=_CHANGES.format("t"),
            catalogues=f"'{{{','.join(catalogues)}}}'::regclass[]",
            tables=f"'{{{','.join(map(str, template.tables))}}}'",
            filled=f"'{{{','.join(map(str, template.rows))}}}'",
            sequences=f"array[{', '.join(values)}]::bigint[]",
        )
        self._connection.execute(text.encode())
        self._connection.execute(_SIZES.format(bytes=_VACUUM_BYTES).encode())

    def _look(self) -> _Look:
        return _Look(*_document(self._execute("execute look")))

    def _alone(self) -> _Look | None:
        """Wait until the other connections are closed; close them, unless they must have been closed."""
        started = time.monotonic()
        while True:
            look, kept = self._look(), self.kept.idle_processes()
            others = {int(pid): name for pid, name in look.others}
            if not others.keys() - kept:
                self.kept.close_lost(others)
                return look
            waited = time.monotonic() - started
            closing = [pid for pid, name in others.items() if pid not in kept and name == "cogo"]
            if closing and self.kept.is_closed_alone:
                assert waited < _CLOSE_SECONDS, f"{len(closing)} connections of the closed transport are still open."
            elif waited > _DISCONNECT_SECONDS:
                return None
            else:
                self._connection.execute(_DISCONNECT, ([*(others.keys() - kept)],))
            time.sleep(_LOOK_SECONDS)

    def _is_like_template(self, look: _Look) -> bool:
        """Whether all but inserted rows and sequences is as in the template."""
        if look.settings != self._last.settings:
            return False
        if look.catalogues != self._last.catalogues and self._read(_SCHEMA.encode()) != self.template.schema:
            return False
        changed = [
            number
            for number, now, before in zip(self.template.rows, look.filled, self._last.filled, strict=True)
            if now != before
        ]
        return all(self._rows(self.template.tables[number]) == self.template.rows[number] for number in changed)

    def _cleaned(self, look: _Look) -> bool:
        """Delete inserted rows and restore sequences; return False if that takes longer than a new copy."""
        inserted = zip(self.template.tables, look.inserted, self._last.inserted, strict=True)
        changes = {number: now - before for number, now, before in inserted if now != before}
        self._last = look
        changes = {number: rows for number, rows in changes.items() if number not in self.template.rows}
        if any(rows > _MAX_ROWS for rows in changes.values()):
            return False
        self._prepare_deletes(changes)
        statements = [f"execute delete_{number}" for number in changes]
        for (name, last, start), now in zip(self.template.sequences, look.sequences, strict=True):
            if now != last:
                statements.append(f"select setval('{name}', {last or start}, {last is not None})")
        if not statements:
            return True
        numbers = ",".join(map(str, changes))
        large = _document(self._execute("; ".join([*statements, f"execute sizes('{{{numbers}}}')"])))
        if any(size > _MAX_BYTES for _, size in large):
            return False
        for number, _ in large:
            self._connection.execute(f"vacuum {self.template.tables[number]}".encode())
        return True

    def _prepare_deletes(self, numbers: Iterable[int]) -> None:
        """Prepare the deletions of tables' rows: to plan one takes longer than to execute it."""
        for number in set(numbers) - self._deletes:
            self._execute(f"prepare delete_{number} as delete from {self.template.tables[number]}")
            self._deletes.add(number)

    def _rows(self, table: str) -> Any:
        return self._read(f"select count(*), sum(xmin::text::bigint) from {table}".encode())

    def _execute(self, statements: str) -> PGresult:
        return executed(self._connection, statements.encode())

    def _read(self, query: LiteralString | bytes) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


def _document(result: PGresult) -> Any:
    return json.loads(result.get_value(0, 0) or b"null")
