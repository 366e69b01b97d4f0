"""After each file that somebody applies, anon and authenticated can do nothing, and what worked before works."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cogo_dagster.queue import migrate as schema
from cogo_dagster.queue.migrate import Migration, editor_script, export_supabase, migrate, sql_folder
from cogo_dagster.queue.schema_access import Created, UncoveredObject, created, statements, with_access
from cogo_dagster_tests.archives import extract
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import Major, TestServer, private_server
from cogo_dagster_tests.sql.outsiders import OWNER, PROJECT, what_outsiders_may_do
from cogo_dagster_tests.sql.test_adoption import FOLDER as OLDER_SCHEMAS
from docs import generate

RELEASE_3 = OLDER_SCHEMAS / "release_3.tar.gz"
LAST_OF_RELEASE_3 = "20261125050003"

SIX = "2025*.sql"

WITH_ACCESS = generate.access_statements()


@pytest.fixture
def project(server: TestServer) -> Iterator[str]:
    """Lend an empty database with Supabase's default privileges, as its owner who is no superuser."""
    with server.clone() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(PROJECT)
        yield make_conninfo(dsn, options=f"-c role={OWNER} -c client_min_messages=error")


@pytest.fixture
def applying(project: str) -> Iterator[Owner]:
    """Connect as the project's owner: what is executed at once is one transaction, as with `supabase db push`."""
    with psycopg.connect(project, autocommit=True) as connection:
        yield connection


@pytest.fixture
def looking(project: str) -> Iterator[Owner]:
    """Connect with all rights."""
    with psycopg.connect(make_conninfo(project, options=""), autocommit=True) as connection:
        yield connection


def test_the_look_sees_what_is_open(applying: Owner, looking: Owner) -> None:
    """A table, a column, a function and a sequence, as a project leaves them by default."""
    applying.execute("create table public.t (id bigint generated always as identity, a int)")
    applying.execute("create function public.f() returns int language sql as 'select 1'")
    assert {
        "anon may delete t",
        "anon may execute f()",
        "anon may usage t_id_seq",
        "anon reads t",
        "t has no row level security",
    } <= set(what_outsiders_may_do(looking))
    applying.execute("drop function public.f; drop table public.t; create table public.t (a int, b int)")
    applying.execute("revoke all on public.t from anon, authenticated; grant select (a) on public.t to anon")
    assert what_outsiders_may_do(looking) == ["anon may select t", "t has no row level security", "anon reads t"]


def test_each_exported_file_leaves_the_database_closed(applying: Owner, looking: Owner, tmp_path: Path) -> None:
    """From an empty project to this release."""
    for path in export_supabase(tmp_path):
        applying.execute(path.read_bytes())
        assert what_outsiders_may_do(looking) == [], path.name


def test_the_six_files_and_the_functions_may_be_applied_again(applying: Owner, looking: Owner, tmp_path: Path) -> None:
    """They are what people paste."""
    exported = export_supabase(tmp_path)
    for path in exported:
        for _ in range(2 if path in (*exported[:6], *exported[-2:]) else 1):
            applying.execute(path.read_bytes())
        assert what_outsiders_may_do(looking) == [], path.name


@pytest.mark.parametrize("schema_name", [None, "runbook_files", "uuid_ids", "serial_ids"])
def test_the_six_files_by_hand_leave_closed_tables_and_a_claim(
    schema_name: str | None, applying: Owner, looking: Owner
) -> None:
    """Over an empty project and over older ones, whose own claim_one_job stays for the workers that run."""
    if schema_name:
        applying.execute(_without_roles((OLDER_SCHEMAS / f"{schema_name}.sql").read_text()).encode())
    before = _claims(looking)
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        applying.execute(path.read_bytes())
        assert not {line for line in what_outsiders_may_do(looking) if _is_ours(line, path.name)}, path.name
    assert _claims(looking) == (before or ["claim_one_job(text,text,integer)"])


def test_the_claim_of_the_six_files_claims_due_jobs_one_by_one(applying: Owner, looking: Owner) -> None:
    """The addressed one by its executor alone, and none before its time."""
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        applying.execute(path.read_bytes())
    looking.execute(
        "insert into public.jobs (type, executor_id, next_run_at) values ('a', null, now() - interval '1 minute'),"
        " ('b', 'mac', now()), ('c', 'other', now()), ('d', null, now() + interval '1 hour')"
    )
    looking.execute("set role service_role")
    jobs = [looking.execute("select public.claim_one_job('mac', 'w1')").fetchone() for _ in range(3)]
    assert [row and row[0] and row[0]["type"] for row in jobs] == ["a", "b", None]
    assert jobs[0]
    assert {"status": "running", "worker_id": "w1", "attempts": 1}.items() <= jobs[0][0].items()
    assert jobs[0][0]["lease_token"]


def test_the_six_files_over_a_current_database_take_nothing_away(owner: Owner) -> None:
    """Somebody who follows the old runbook once more stops no worker."""
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        owner.execute(path.read_bytes())
    owner.execute("set role service_role")
    assert owner.execute("select public.claim_one_job('mac', 'w1')").fetchone() == (None,)


def test_the_first_file_makes_the_roles(major: Major) -> None:
    """On a server that never had them."""
    with private_server(major) as server:
        server.start()
        server.ensure_database("fresh")
        with psycopg.connect(server.dsn("fresh"), autocommit=True) as connection:
            for path in sorted((sql_folder() / "migrations").glob(SIX)):
                connection.execute(path.read_bytes())
            assert what_outsiders_may_do(connection) == []


def test_an_upgrade_from_release_3_is_closed_and_works_after_each_file(
    applying: Owner, looking: Owner, tmp_path: Path
) -> None:
    """Its functions stay until the new ones are there."""
    _apply_release_3(applying, tmp_path)
    known = _function_names(looking)
    for path in _new_files(export_supabase(tmp_path / "new")):
        applying.execute(path.read_bytes())
        assert what_outsiders_may_do(looking) == [], path.name
        assert known <= _function_names(looking), path.name
        _run_a_job(looking)


def test_an_interrupted_push_of_release_3_is_closed_by_this_one(
    applying: Owner, looking: Owner, tmp_path: Path
) -> None:
    """Its files left every table open until the last one."""
    _apply_release_3(applying, tmp_path, but_the_last=True)
    assert what_outsiders_may_do(looking) != []
    for path in _new_files(export_supabase(tmp_path / "new")):
        applying.execute(path.read_bytes())
        assert what_outsiders_may_do(looking) == [], path.name


def test_the_script_and_the_command_leave_a_project_closed(
    project: str, applying: Owner, looking: Owner, server: TestServer, tmp_path: Path
) -> None:
    """From nothing, and from release 3."""
    applying.execute(editor_script().encode())
    assert what_outsiders_may_do(looking) == []
    with server.clone() as dsn, psycopg.connect(dsn, autocommit=True) as all_rights:
        all_rights.execute(PROJECT)
        as_owner = make_conninfo(dsn, options=f"-c role={OWNER}")
        with psycopg.connect(as_owner, autocommit=True) as connection:
            _apply_release_3(connection, tmp_path)
        migrate(as_owner)
        assert what_outsiders_may_do(all_rights) == []


def test_a_new_migration_keeps_the_functions_it_replaces_until_the_last_file(
    applying: Owner, looking: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And closes the table it creates, though its author wrote no word about rights."""
    text = "drop function if exists public.claim_one_job(text, text, integer);\ncreate table public.later (id int);\n"
    all_now = (*schema.migrations(), Migration("20991231000000", "later", with_access(text)))
    _apply_release_3(applying, tmp_path)
    monkeypatch.setattr(schema, "migrations", lambda: all_now)
    [*_, later, release, _drop_replaced] = export_supabase(tmp_path / "new")
    applying.execute(later.read_bytes())
    assert what_outsiders_may_do(looking) == []
    _run_a_job(looking)
    assert "drop function if exists public.claim_one_job(text, text, integer);" in release.read_text()


@pytest.mark.parametrize("path", WITH_ACCESS, ids=lambda path: path.name)
def test_the_access_statements_of_a_file_are_what_its_sql_asks_for(path: Path) -> None:
    """A table or function that is left out is an error; `uv run python -m docs.generate` writes it."""
    assert path.read_text(encoding="utf-8") == WITH_ACCESS[path]


@pytest.mark.parametrize(
    "statement",
    [
        "create view public.v as select 1;",
        "create materialized view public.v as select 1;",
        "create table t (id int);",
        "create table other.t (id int);",
        "create sequence public.s;",
        "do $$ begin execute 'create table public.t (id int)'; end $$;",
        "create function f() returns int language sql as $$ select 1 $$;",
        "create function public.f() returns void language sql as $$ create table public.t (id int) $$;",
    ],
)
def test_what_no_access_statement_would_close_is_refused(statement: str) -> None:
    """The one who writes it has to write the rights as well."""
    with pytest.raises(UncoveredObject):
        with_access(statement)


def test_a_functions_signature_is_read_from_its_header() -> None:
    """Defaults may hold commas and parentheses."""
    header = "create or replace function public.f(a text default 'x, (y', b numeric(3, 2)[] = array[1, 2], c public.t)"
    assert created(f"-- create table x\n{header} returns int language sql as $$ select 1; $$;") == Created(
        functions=("f(text, numeric(3, 2)[], public.t)",)
    )
    assert created(header.replace("public.f(", "cogo_internal.f(")) == Created(
        internals=("f(text, numeric(3, 2)[], public.t)",)
    )


def test_access_statements_are_added_once() -> None:
    """Adding them again changes nothing."""
    text = "create table public.t (id int, note text default ';');\nselect 1;\n"
    assert with_access(with_access(text)) == with_access(text)
    assert "".join(statements(text)) == text
    assert with_access(text).count("enable row level security") == 1


def _apply_release_3(connection: Owner, folder: Path, *, but_the_last: bool = False) -> None:
    with tarfile.open(RELEASE_3) as archive:
        extract(archive, folder / "release_3")
    for path in sorted((folder / "release_3").glob("*.sql"))[: -1 if but_the_last else None]:
        connection.execute(path.read_bytes())


def _new_files(exported: list[Path]) -> list[Path]:
    """Return what `supabase db push` has not applied yet, and the functions in any case."""
    return [path for path in exported if path.name > LAST_OF_RELEASE_3 or path in exported[-2:]]


def _run_a_job(looking: Owner) -> None:
    looking.execute("set role service_role")
    looking.execute('select public.enqueue_jobs(\'[{"type": "browser", "payload": {}}]\')')
    row = looking.execute("select public.claim_one_job(null, 'w1')").fetchone()
    assert row
    done = looking.execute("select public.complete_job(%s, %s)", (row[0]["id"], row[0]["lease_token"])).fetchone()
    assert done
    assert done[0]["status"] == "succeeded"
    looking.execute("reset role")


def _claims(looking: Owner) -> list[str]:
    named = "select oid::regprocedure::text from pg_proc where proname = 'claim_one_job'"
    return [row[0] for row in looking.execute(named)]


def _function_names(looking: Owner) -> set[str]:
    return {
        row[0]
        for row in looking.execute(
            "select proname from pg_proc"
            " where pronamespace in (to_regnamespace('public'), to_regnamespace('cogo_internal'))"
        )
    }


def _without_roles(script: str) -> str:
    """Leave out what only a superuser may do; the project has the roles."""
    return script.replace("create role anon nologin;", "null;")


def _is_ours(line: str, file_name: str) -> bool:
    """Whether the files up to this one know of the object: an older schema may have others, for `cogo db migrate`."""
    later = {"jobs_dlq": "20250809001500", "claim_one_job": "20250809004100"}
    if any(name in line and file_name < version for name, version in later.items()):
        return False
    # A policy alone opens nothing, and a function that runs with its caller's rights reads nothing.
    return not any(words in line for words in ("recover_leases", "touch", "complete_job", "workers", "lets in"))
