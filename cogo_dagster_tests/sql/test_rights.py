"""Rights: anon and authenticated have none, service_role has all, whatever the project's default privileges are."""

from collections.abc import Iterator
from typing import Any, Literal

import psycopg
import pytest
from psycopg import sql

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import migrate, sql_folder
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import TestServer
from docs import sql_functions
from docs.sql_functions import IN_PUBLIC

OUTSIDERS = ("anon", "authenticated")

# The default privileges of older Supabase projects, and those of a project that grants more.
OPEN_BY_DEFAULT = """
do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
end $$;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
"""

# Inlined into their callers, which a setting would prevent; names in them are qualified, or the callers have a setting.
INLINED = {
    "artifact_row",
    "claimed_job",
    "compact_job",
    "dead_letter_row",
    "is_small_json",
    "job_row",
    "payload_subject",
    "new_job_rows",
    "replay_key_holder",
    "running_jobs",
    "secret_row",
    "seconds_between",
    "status_after",
    "three_digits",
    "worker_is_alive",
}


@pytest.fixture(params=["closed", "open"])
def owner(request: pytest.FixtureRequest, server: TestServer) -> Iterator[Owner]:
    """Connect to a database migrated with and without the default privileges of a Supabase project."""
    template = migrated_template(server, request.param)
    with server.lend(template) as dsn, server.kept(dsn) as connections:
        yield connections.owner()


def migrated_template(server: TestServer, privileges: str) -> str:
    """Return the name of a migrated database with the default privileges `closed` or `open`."""
    if privileges == "closed":
        return "migrated"

    def build(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(OPEN_BY_DEFAULT)
        migrate(dsn)

    server.template("migrated_open", build)
    return "migrated_open"


def test_outsiders_may_call_no_function(owner: Owner) -> None:
    """Each function is checked with has_function_privilege."""
    assert _allowed(owner, "function", OUTSIDERS) == set()


def test_calls_by_outsiders_are_rejected(owner: Owner) -> None:
    """Each function is called as each outside role."""
    for role in OUTSIDERS:
        owner.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        for name, arguments in FUNCTIONS.items():
            nulls = sql.SQL(", ").join(sql.SQL("null::" + type) for type in arguments.values())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"function {name}"):
                owner.execute(sql.SQL("select {}({})").format(sql.Identifier("public", name), nulls))


def test_the_internal_schema_is_closed_to_outsiders(owner: Owner) -> None:
    """Each function is called as each role: the schema is closed, and so is each function."""
    calls = owner.execute(
        "select proname, array(select format_type(t, null) from unnest(proargtypes) t)"
        " from pg_proc where pronamespace = 'cogo_internal'::regnamespace"
    ).fetchall()
    assert len(calls) == len([one for one in sql_functions.functions() if one.is_internal]) - len(IN_PUBLIC)
    tables = _tables(owner)
    for rejected_by in ("schema cogo_internal", "function"):
        for role in OUTSIDERS:
            owner.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            for name, types in calls:
                nulls = ", ".join(f"null::{f'public.{one}' if one in tables else one}" for one in types)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=rejected_by):
                    owner.execute(f"select cogo_internal.{name}({nulls})".encode())
            owner.execute("reset role")
        # If the schema is opened, the functions are still closed, and the next migration closes it.
        owner.execute("grant usage on schema cogo_internal to anon, authenticated")
    owner.execute((sql_folder() / "grants.sql").read_bytes())
    allowed = "select has_schema_privilege(role, 'cogo_internal', 'usage, create') from unnest(%s::text[]) role"
    assert owner.execute(allowed, ([*OUTSIDERS, "service_role"],)).fetchall() == [(False,), (False,), (True,)]


def test_outsiders_have_no_rights_on_tables(owner: Owner) -> None:
    """They may not read, write, truncate, reference or create triggers."""
    for right in ("select", "insert", "update", "delete", "truncate", "references", "trigger"):
        assert _allowed(owner, "table", OUTSIDERS, right) == set()


def test_reads_by_outsiders_are_rejected(owner: Owner) -> None:
    """Each table is read as each outside role."""
    for role in OUTSIDERS:
        owner.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        for table in _tables(owner):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(sql.SQL("select from {}").format(sql.Identifier("public", table)))


def test_outsiders_may_use_no_sequence(owner: Owner) -> None:
    """They may not use, read or update any sequence."""
    for right in ("usage", "select", "update"):
        assert _allowed(owner, "sequence", OUTSIDERS, right) == set()


def test_the_service_role_may_call_every_function(owner: Owner) -> None:
    """Internal functions too, since no function runs with its owner's rights."""
    assert _allowed(owner, "function", ["service_role"]) == {("service_role", name) for name in _functions(owner)}


def test_the_service_role_reads_and_writes_every_table(owner: Owner) -> None:
    """It has access through grants and policies, not through BYPASSRLS."""
    for right in ("select", "insert", "update", "delete"):
        assert _allowed(owner, "table", ["service_role"], right) == {("service_role", name) for name in _tables(owner)}
    assert owner.execute("select rolbypassrls from pg_roles where rolname = 'service_role'").fetchone() == (False,)


def test_row_level_security_is_on_everywhere(owner: Owner) -> None:
    """Every table has row level security."""
    assert _column(owner, "select relname from pg_class where {} and relkind = 'r' and not relrowsecurity") == []


def test_policies_allow_only_the_service_role(owner: Owner) -> None:
    """Each table has one policy."""
    policies = owner.execute("select tablename, roles::text[] from pg_policies where schemaname = 'public'").fetchall()
    assert sorted(policies) == [(table, ["service_role"]) for table in _tables(owner)]


def test_no_function_runs_with_its_owners_rights(owner: Owner) -> None:
    """No function is SECURITY DEFINER."""
    assert _column(owner, "select proname from pg_proc p where {} and prosecdef", _OURS) == []


def test_every_function_fixes_its_search_path(owner: Owner) -> None:
    """All functions but the inlined ones set search_path."""
    unset = "select proname from pg_proc where {} and array_position(proconfig, 'search_path=\"\"') is null"
    assert set(_column(owner, unset, _OURS)) == INLINED


def test_there_are_no_views_that_could_leak(owner: Owner) -> None:
    """A view would read with its owner's rights."""
    assert _column(owner, "select relname from pg_class where {} and relkind in ('v', 'm')") == []


def test_the_next_migration_removes_an_added_policy(owner: Owner) -> None:
    """Grants and policies are applied again with every change of a function."""
    owner.execute("create policy open_to_anon on public.jobs to anon using (true); grant all on public.jobs to anon")
    owner.execute((sql_folder() / "grants.sql").read_bytes())
    assert (
        _column(owner, "select policyname from pg_policies where schemaname = 'public' and 'anon' = any (roles)") == []
    )
    assert _allowed(owner, "table", OUTSIDERS, "select") == set()


_OURS = "pronamespace in ('public'::regnamespace, 'cogo_internal'::regnamespace)"

Kind = Literal["function", "table", "sequence"]

_LISTED: dict[Kind, str] = {
    "function": f"select proname, oid from pg_proc where {_OURS}",
    "table": "select relname, oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
    "sequence": "select relname, oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S'",
}


def _allowed(owner: Owner, kind: Kind, roles: Any, right: str = "execute") -> set[tuple[str, str]]:
    query = (
        f"select role, named.name from unnest(%s::text[]) role, ({_LISTED[kind]}) named (name, oid)"
        f" where has_{kind}_privilege(role, named.oid, %s)"
    )
    return set(owner.execute(query.encode(), (list(roles), right)).fetchall())


def _functions(owner: Owner) -> list[str]:
    return _column(owner, "select proname from pg_proc where {} order by 1", _OURS)


def _tables(owner: Owner) -> list[str]:
    return _column(owner, "select relname from pg_class where {} and relkind = 'r' order by 1")


def _column(owner: Owner, query: str, ours: str = "relnamespace = 'public'::regnamespace") -> list[str]:
    rows = owner.execute(query.format(ours).encode())
    return [row[0] for row in rows]
