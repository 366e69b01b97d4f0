"""The statements by which PostgREST calls a function."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.pq import Escaping

ROLE_TIMEOUTS: Final = {"anon": "3s", "authenticated": "8s"}
"""The timeouts of a project's roles; service_role has none, so that of the session applies."""


@dataclass(frozen=True)
class Function:
    """One function of the schema cache."""

    name: str
    returns_set: bool
    returns: str
    volatility: str
    required: int
    names: tuple[str, ...]
    types: tuple[str, ...]
    returns_row: bool

    def takes(self, given: frozenset[str]) -> bool:
        """Whether it accepts these arguments: all required ones and no unknown one."""
        return given <= set(self.names) and set(self.names[: self.required]) <= given


@dataclass(frozen=True)
class Caller:
    """The method, role and claims of a call."""

    method: str
    role: str
    claims: Any


def begin(connection: psycopg.Connection[Any], name: str, caller: Caller, access: str) -> None:
    """Begin a transaction and make its settings, in one message."""
    literal = Escaping(connection.pgconn).escape_literal
    timeout = ROLE_TIMEOUTS.get(caller.role)
    settings = {
        "search_path": '"public", "public", "extensions"',
        **({"statement_timeout": timeout} if timeout else {}),
        "role": caller.role,
        "request.jwt.claims": json.dumps(caller.claims),
        "request.method": caller.method,
        "request.path": f"/rpc/{name}",
        "request.headers": "{}",
        "request.cookies": "{}",
    }
    calls = (b"set_config('%s', %s, true)" % (key.encode(), literal(text.encode())) for key, text in settings.items())
    begin = f"begin isolation level read committed, {access}; select "
    connection.execute(begin.encode() + b", ".join(calls), prepare=False)


@lru_cache(maxsize=256)
def statement(function: Function, given: tuple[str, ...], max_rows: int) -> bytes:
    """Return the call of a function with these arguments."""
    types = dict(zip(function.names, function.types, strict=True))
    called = sql.SQL("{}({})").format(
        sql.Identifier("public", function.name),
        sql.SQL(", ").join(sql.SQL("{0} := pgrst_body.{0}").format(sql.Identifier(name)) for name in given),
    )
    declared = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(types[n])) for n in given)
    body = (
        sql.SQL("(select {} from json_to_record(pgrst_payload.json_data) as _({}) limit 1) pgrst_body").format(
            sql.SQL(", ").join(map(sql.Identifier, given)), declared
        )
        if given
        else sql.SQL("(select) pgrst_body")
    )
    if function.returns_row:
        source = sql.SQL("select pgrst_call.* from {payload}, lateral {body}, lateral {called} pgrst_call")
        value = sql.SQL("coalesce(json_agg(_t), '[]')::text" if function.returns_set else "(json_agg(_t)->0)::text")
    else:
        source = sql.SQL(
            "select pgrst_call.pgrst_scalar from {payload}, lateral {body},"
            " lateral (select {called} pgrst_scalar) pgrst_call"
        )
        value = sql.SQL(
            "coalesce(json_agg(_t.pgrst_scalar), '[]')::text"
            if function.returns_set
            else "coalesce(json_agg(_t.pgrst_scalar)->0, 'null')::text"
        )
    payload = sql.SQL("(select %s::json as json_data) pgrst_payload")
    return (
        sql.SQL(
            "with pgrst_source as ({source}) select null::bigint as total_result_set,"
            " pg_catalog.count(_t) as page_total, {value} as body,"
            " nullif(current_setting('response.headers', true), ''),"
            " nullif(current_setting('response.status', true), '')"
            " from (select * from pgrst_source limit {rows} offset 0) _t"
        )
        .format(
            source=source.format(payload=payload, body=body, called=called), value=value, rows=sql.Literal(max_rows)
        )
        .as_bytes(None)
    )
