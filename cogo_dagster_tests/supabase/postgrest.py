"""PostgREST's RPC as measured on 14.17: statements, statuses, error bodies, limits."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

import jwt
import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from cogo_dagster_tests.supabase.keys import SECRET
from cogo_dagster_tests.supabase.responses import ErrorResponse, RawResponse, raise_error_response

Connection = psycopg.Connection[Any]

MAX_ROWS: Final = 1_000
CONNECTIONS: Final = 10
SESSION_TIMEOUT: Final = "8s"
ROLE_TIMEOUTS: Final = {"anon": "3s", "authenticated": "8s"}
"""The timeouts of a project's roles; service_role has none, so that of the session applies."""

MAX_REPEATS: Final = 20

AUTHENTICATOR: Final = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'authenticator') then
        create role authenticator nologin noinherit;
    end if;
    if (select count(*) from pg_auth_members where member = 'authenticator'::regrole) < 3 then
        grant anon, authenticated, service_role to authenticator;
    end if;
end $$
"""

CATALOGUE: Final = """
select p.proname, p.proretset, p.prorettype::regtype::text, p.provolatile, p.pronargs - p.pronargdefaults,
       coalesce(p.proargnames, '{}'), array(select format_type(t, null) from unnest(p.proargtypes) t),
       r.typtype = 'c' or p.prorettype = 'record'::regtype
from pg_proc p join pg_type r on r.oid = p.prorettype
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
"""


class RetriedForever(Exception):
    """PostgREST below 16 retries 40001 and 40P01 without limit: the request never ends."""


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


class Postgrest:
    """The RPC half of PostgREST over one database.

    Attributes:
        endless: Functions that a real server would retry forever.
    """

    def __init__(self, dsn: str, *, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self.endless: list[str] = []
        self._pool = ConnectionPool(
            dsn,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=10,
            configure=_as_authenticator,
            kwargs={"application_name": "postgrest stand-in", "autocommit": True},
            open=True,
        )
        self._dsn = dsn
        self._listen()

    def _listen(self) -> None:
        self._listener = psycopg.connect(self._dsn, autocommit=True, application_name="postgrest stand-in")
        _make_authenticator(self._listener)
        self._listener.execute("listen pgrst")
        self._functions = self._read()

    @property
    def listener_pid(self) -> int:
        """The process on the server that sends notifications to this one."""
        return self._listener.info.backend_pid

    def idle_processes(self) -> set[int] | None:
        """Return the server's processes of its connections; None if one is in use or lost."""
        stats = self._pool.get_stats()
        if stats.get("pool_size", 0) != stats.get("pool_available", 0) or self._listener.closed:
            return None
        return {self.listener_pid, *(connection.info.backend_pid for connection in self._pool._pool)}

    def close(self) -> None:
        """Close all connections."""
        self._pool.close(timeout=5)
        self._listener.close()

    def call(self, method: str, name: str, body: bytes, authorization: str, headers: Mapping[str, str]) -> RawResponse:
        """Return the response to one request to /rpc/<name>."""
        try:
            role, claims = _role(authorization)
            _require_public(headers)
            arguments = _arguments(method, body, headers)
            function = self._find(name, frozenset(arguments))
            with self._connection() as connection:
                return self._run(connection, function, arguments, Caller(method, role, claims))
        except ErrorResponse as error:
            return error.answer

    def _read(self) -> dict[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for name, returns_set, returns, volatility, required, names, types, row in self._listener.execute(CATALOGUE):
            arguments = tuple(names[: len(types)]), tuple(types)
            function = Function(name, returns_set, returns, volatility, required, *arguments, row)
            found.setdefault(name, []).append(function)
        return found

    def _find(self, name: str, given: frozenset[str]) -> Function:
        with self._lock:
            self._refresh()
            matching = self._matching(name, given)
            if not matching:
                self._refresh(after_a_query=True)
                matching = self._matching(name, given)
        if len(matching) > 1:
            raise ErrorResponse(300, "PGRST203", f"Could not choose the best candidate function between: {name}")
        if not matching:
            described = f"({', '.join(sorted(given))})" if given else " without parameters"
            raise ErrorResponse(
                404,
                "PGRST202",
                f"Could not find the function public.{name}{described} in the schema cache",
                f"Searched for the function public.{name}{described}, but no matches were found in the schema cache.",
            )
        return matching[0]

    def _matching(self, name: str, given: frozenset[str]) -> list[Function]:
        return [function for function in self._functions.get(name, ()) if function.takes(given)]

    def _refresh(self, *, after_a_query: bool = False) -> None:
        """Read the schema again after a notification, or after the listening connection was lost.

        A busy server delivers a notification some time after NOTIFY has returned, but at the latest with the result of
        the next query of the listening connection.
        """
        try:
            if after_a_query:
                self._listener.execute("select")
            if any(note.payload == "reload schema" for note in list(self._listener.notifies(timeout=0))):
                self._functions = self._read()
        except psycopg.OperationalError:
            with suppress(psycopg.OperationalError):
                self._listen()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            raise ErrorResponse(504, "PGRST003", "Timed out acquiring connection from connection pool.") from None
        except psycopg.OperationalError as error:
            if error.sqlstate:
                raise
            message = "Could not query the database for the schema cache. Retrying."
            raise ErrorResponse(503, "PGRST002", message, headers={"retry-after": "0"}) from None

    def _run(self, connection: Connection, function: Function, arguments: Any, caller: Caller) -> RawResponse:
        reading = caller.method in ("GET", "HEAD") or function.volatility in ("i", "s")
        beginning = _beginning(function.name, caller.method, caller.role, json.dumps(caller.claims), reading=reading)
        for _ in range(MAX_REPEATS):
            try:
                with _transaction(connection, beginning):
                    return self._select(connection, function, arguments)
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                continue
            except psycopg.Error as error:
                raise_error_response(error, caller.role)
        self.endless.append(function.name)
        raise RetriedForever(function.name)

    def _select(self, connection: Connection, function: Function, arguments: Mapping[str, Any]) -> RawResponse:
        statement = _statement(function, tuple(name for name in function.names if name in arguments), self._max_rows)
        row = connection.execute(statement, (json.dumps(arguments),)).fetchone()
        assert row is not None
        _, page_total, body, response_headers, response_status = row
        status = int(response_status) if response_status else 204 if function.returns == "void" else 200
        if status == 204:
            return RawResponse(204)
        set_of = function.returns_set
        span = f"0-{page_total - 1}/*" if set_of and page_total else "*/*" if set_of else "0-0/*"
        extra = [pair for one in json.loads(response_headers or "[]") for pair in one.items()]
        return RawResponse(
            status,
            body.encode(),
            (("content-type", "application/json; charset=utf-8"), ("content-range", span), *extra),
        )


def _make_authenticator(owner: Connection) -> None:
    for _ in range(20):
        # Roles are global to the server: another test may create the same one.
        with suppress(psycopg.Error):
            owner.execute(AUTHENTICATOR)
            return
    owner.execute(AUTHENTICATOR)


def _as_authenticator(connection: Connection) -> None:
    connection.execute(f"set statement_timeout = '{SESSION_TIMEOUT}'".encode())
    connection.execute(f"set lock_timeout = '{SESSION_TIMEOUT}'".encode())
    connection.execute("set session authorization authenticator")


@contextmanager
def _transaction(connection: Connection, beginning: bytes) -> Iterator[None]:
    try:
        connection.execute(beginning)
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(psycopg.Error):  # of a lost connection
            connection.execute("rollback")
        raise


@cache
def _beginning(name: str, method: str, role: str, claims: str, *, reading: bool) -> bytes:
    """Return the statements that begin the transaction of a call: one message instead of three."""
    values = {
        "search_path": '"public", "public", "extensions"',
        **({"statement_timeout": ROLE_TIMEOUTS[role]} if role in ROLE_TIMEOUTS else {}),
        "role": role,
        "request.jwt.claims": claims,
        "request.method": method,
        "request.path": f"/rpc/{name}",
        "request.headers": "{}",
        "request.cookies": "{}",
    }
    settings = sql.SQL(", ").join(sql.SQL("set_config({}, {}, true)").format(*pair) for pair in values.items())
    access = sql.SQL("read only" if reading else "read write")
    return sql.SQL("begin isolation level read committed, {}; select {}").format(access, settings).as_bytes()


@cache
def _statement(function: Function, given: tuple[str, ...], max_rows: int) -> bytes:
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
    statement = sql.SQL(
        "with pgrst_source as ({source}) select null::bigint as total_result_set,"
        " pg_catalog.count(_t) as page_total, {value} as body,"
        " nullif(current_setting('response.headers', true), ''), nullif(current_setting('response.status', true), '')"
        " from (select * from pgrst_source limit {rows} offset 0) _t"
    ).format(source=source.format(payload=payload, body=body, called=called), value=value, rows=sql.Literal(max_rows))
    return statement.as_bytes()


def _role(authorization: str) -> tuple[str, Any]:
    if not authorization.lower().startswith("bearer "):
        return "anon", {"role": "anon"}
    token = authorization[7:].strip()
    if (parts := len(token.split("."))) != 3:
        raise ErrorResponse(401, "PGRST301", f"Expected 3 parts in JWT; got {parts}")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], leeway=30)
    except jwt.ExpiredSignatureError:
        raise ErrorResponse(401, "PGRST303", "JWT expired") from None
    except jwt.ImmatureSignatureError:
        raise ErrorResponse(401, "PGRST303", "JWT not yet valid") from None
    except jwt.InvalidTokenError:
        raise ErrorResponse(401, "PGRST301", "JWSError JWSInvalidSignature") from None
    return claims.get("role", "anon"), claims


def _require_public(headers: Mapping[str, str]) -> None:
    profile = headers.get("content-profile") or headers.get("accept-profile") or "public"
    if profile != "public":
        raise ErrorResponse(
            406, "PGRST106", f"Invalid schema: {profile}", None, "Only the following schemas are exposed: public"
        )


def _arguments(method: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    if method not in ("GET", "HEAD", "POST"):
        raise ErrorResponse(405, "PGRST101", f"Cannot use the {method} method on RPC")
    if not body.strip():
        return {}
    if not headers.get("content-type", "application/json").startswith("application/json"):
        raise ErrorResponse(404, "PGRST202", "Could not find the function in the schema cache")
    try:
        given = json.loads(body, parse_constant=_no_constant)
    except ValueError:
        raise ErrorResponse(400, "PGRST102", "Empty or invalid json") from None
    given = given[0] if isinstance(given, list) and given else given
    if not isinstance(given, dict):
        raise ErrorResponse(400, "PGRST102", "All object keys must match")
    return given


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)
