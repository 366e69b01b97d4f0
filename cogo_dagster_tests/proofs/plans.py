"""The query plans of statements inside a function, as auto_explain reports them to the client."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import psycopg
from psycopg.types.json import Jsonb

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import Json

AUTO_EXPLAIN: Final = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}

PLAN_MODES: Final = ("force_custom_plan", "force_generic_plan")
"""A function's statements have custom plans at first, and may have a generic plan from the sixth call on."""

_FIRST_OWN_OID: Final = 16_384
"""Catalogues and their indexes have smaller ones."""

_MAX_CALLS: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a plan, with its children.

    Attributes:
        kind: Such as `Index Scan`.
        table: The table it reads, if any.
        rows: Rows returned and rows removed by filters, over all loops.
        blocks: Shared blocks touched by it and its children.
    """

    kind: str
    table: str | None
    index: str | None
    rows: float
    blocks: int
    below: tuple["Step", ...]

    @classmethod
    def from_json(cls, node: Json) -> Self:
        """Parse a node of a plan in JSON."""
        removed = sum(node.get(f"Rows Removed by {cause}", 0) for cause in ("Filter", "Index Recheck", "Join Filter"))
        return cls(
            kind=node["Node Type"],
            table=node.get("Relation Name"),
            index=node.get("Index Name"),
            rows=(node["Actual Rows"] + removed) * node["Actual Loops"],
            blocks=node["Shared Hit Blocks"] + node["Shared Read Blocks"],
            below=tuple(cls.from_json(child) for child in node.get("Plans", ())),
        )

    def walk(self) -> Iterator["Step"]:
        """Yield this node and all its descendants."""
        yield self
        for step in self.below:
            yield from step.walk()

    def reads(self, table: str) -> list["Step"]:
        """Return the scans of a table in this subtree that were executed."""
        return [step for step in self.walk() if step.table == table and step.kind != "ModifyTable"]


@dataclass(frozen=True, slots=True)
class Explained:
    """A call and its query plans.

    Attributes:
        mode: The plan cache mode.
        plans: The root nodes of the statements inside the function, and of the call.
    """

    mode: str
    answer: Json
    plans: tuple[Step, ...]

    def reads(self, table: str) -> list[Step]:
        """Return every scan of a table."""
        return [step for plan in self.plans for step in plan.reads(table)]

    def sorts_of(self, index: str) -> list[Step]:
        """Return every sort of rows read directly from an index."""
        sorts = [step for plan in self.plans for step in plan.walk() if "Sort" in step.kind]
        return [sort for sort in sorts if any(step.index == index for step in sort.walk())]

    @property
    def blocks(self) -> int:
        """The number of blocks touched by the call."""
        return max(plan.blocks for plan in self.plans)


class Explainer:
    """A session that calls functions with the privileges of service_role, explains and rolls back the calls."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._notices: list[str] = []
        connection.add_notice_handler(lambda notice: self._notices.append(notice.message_primary or ""))
        catalogues = connection.execute("select oid from pg_class where oid < %s", (_FIRST_OWN_OID,))
        self._catalogues = [oid for (oid,) in catalogues.fetchall()]

    def call(self, function: str, **arguments: Json) -> list[Explained]:
        """Call a function in each plan cache mode, and roll back."""
        return [self._call(mode, function, arguments) for mode in PLAN_MODES]

    @contextmanager
    def filled(self, statement: str) -> Iterator[None]:
        """Execute a statement as the owner of the tables, and roll it back afterwards."""
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("reset role")
            self._connection.execute(statement.encode())
            self._connection.execute("set role service_role")
            yield

    def _call(self, mode: str, function: str, arguments: dict[str, Json]) -> Explained:
        types = FUNCTIONS[function]
        passed = ", ".join(f"{name} := %({name})s::{types[name]}" for name in arguments)
        values = {name: Jsonb(value) if types[name] == "jsonb" else value for name, value in arguments.items()}
        self._connection.execute(f"set plan_cache_mode = {mode}".encode())
        # The first call of a session reads a thousand blocks of the system catalogues too, and so does a later one
        # after many changes of a schema in any database of the server, such as a migration in another test.
        for _ in range(_MAX_CALLS):
            with self._connection.transaction(force_rollback=True):
                before = self._catalogue_blocks()
                self._notices.clear()
                row = self._connection.execute(f"select public.{function}({passed})".encode(), values).fetchone()
                after = self._catalogue_blocks()
            if after == before:
                break
        assert row is not None
        plans = [json.loads(notice.partition("plan:\n")[2])["Plan"] for notice in self._notices if "plan:\n" in notice]
        return Explained(mode, row[0], tuple(Step.from_json(plan) for plan in plans))

    def _catalogue_blocks(self) -> int:
        """Return a number that grows with each block of a catalogue that this transaction touches."""
        query = "select sum(pg_stat_get_xact_blocks_fetched(oid)) from unnest(%s::oid[]) oid"
        row = self._connection.execute(query, (self._catalogues,), prepare=True).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def open_explainer(dsn: str) -> Iterator[Explainer]:
    """Open a session with auto_explain."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("load 'auto_explain'")
        for name, value in AUTO_EXPLAIN.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        connection.execute("set role service_role")
        yield Explainer(connection)
