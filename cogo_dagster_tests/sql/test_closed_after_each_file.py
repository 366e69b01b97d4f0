"""After each exported file, anon and authenticated have no rights, and the queue still works."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cogo_dagster.queue import migrate as schema
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import Migration, editor_script, export_supabase, migrate, sql_folder
from cogo_dagster.queue.schema_access import Created, UncoveredObject, created, statements, with_access
from cogo_dagster.queue.schema_scripts import REPLACED
from cogo_dagster_tests.archives import extract
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.sql.outsiders import OWNER, PROJECT, rights_of_outsiders
from cogo_dagster_tests.sql.test_adoption import FOLDER as OLDER_SCHEMAS
from docs import generate

RELEASE_3 = OLDER_SCHEMAS / "release_3.tar.gz"
LAST_OF_RELEASE_3 = "20261125050003"

SIX = "2025*.sql"

WITH_ACCESS = generate.access_statements()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the exported files, in their order."""
    return export_supabase(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def project(server: TestServer) -> Iterator[str]:
    """Yield the DSN of an empty database with Supabase's default privileges, for its owner, who is not a superuser."""
    with server.clone() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(PROJECT)
        yield make_conninfo(dsn, options=f"-c role={OWNER} -c client_min_messages=error")


@pytest.fixture
def applying(project: str) -> Iterator[Owner]:
    """Connect as the project's owner: each executed script is one transaction, as with `supabase db push`."""
    with psycopg.connect(project, autocommit=True) as connection:
        yield connection


@pytest.fixture
def superuser(project: str) -> Iterator[Owner]:
    """Connect as a superuser."""
    with psycopg.connect(make_conninfo(project, options=""), autocommit=True) as connection:
        yield connection


def test_open_objects_are_found(applying: Owner, superuser: Owner) -> None:
    """rights_of_outsiders reports tables, columns, functions and sequences with default privileges."""
    applying.execute("create table public.t (id bigint generated always as identity, a int)")
    applying.execute("create function public.f() returns int language sql as 'select 1'")
    assert {
        "anon may delete t",
        "anon may execute f()",
        "anon may usage t_id_seq",
        "anon reads t",
        "t has no row level security",
    } <= set(rights_of_outsiders(superuser))
    applying.execute("drop function public.f; drop table public.t; create table public.t (a int, b int)")
    applying.execute("revoke all on public.t from anon, authenticated; grant select (a) on public.t to anon")
    assert rights_of_outsiders(superuser) == ["anon may select t", "t has no row level security", "anon reads t"]


def test_each_exported_file_leaves_the_database_closed(applying: Owner, superuser: Owner, exported: list[Path]) -> None:
    """No file grants anything, from an empty project to this release.

    Operators may apply the first six files and the functions more than once by hand.
    """
    for path in exported:
        for _ in range(2 if path in (*exported[:6], *exported[-2:]) else 1):
            applying.execute(path.read_bytes())
            assert rights_of_outsiders(superuser) == [], path.name


@pytest.mark.parametrize("schema_name", [None, "runbook_files", "uuid_ids", "serial_ids"])
def test_the_six_files_by_hand_leave_closed_tables_and_a_claim(
    schema_name: str | None, applying: Owner, superuser: Owner
) -> None:
    """They work on an empty project and on older ones, whose claim_one_job stays for running workers."""
    if schema_name:
        applying.execute(_without_roles((OLDER_SCHEMAS / f"{schema_name}.sql").read_text()).encode())
    before = _claims(superuser)
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        applying.execute(path.read_bytes())
        assert not {line for line in rights_of_outsiders(superuser) if _is_ours(line, path.name)}, path.name
    assert _claims(superuser) == (before or ["claim_one_job(text,text,integer)"])


def test_claim_one_job_of_the_six_files_claims_due_jobs(applying: Owner, superuser: Owner) -> None:
    """It returns unaddressed jobs and those of its executor, and no job that is not due."""
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        applying.execute(path.read_bytes())
    superuser.execute(
        "insert into public.jobs (type, executor_id, next_run_at) values ('a', null, now() - interval '1 minute'),"
        " ('b', 'mac', now()), ('c', 'other', now()), ('d', null, now() + interval '1 hour')"
    )
    superuser.execute("set role service_role")
    jobs = [superuser.execute("select public.claim_one_job('mac', 'w1')").fetchone() for _ in range(3)]
    assert [row and row[0] and row[0]["type"] for row in jobs] == ["a", "b", None]
    assert jobs[0]
    assert {"status": "running", "worker_id": "w1", "attempts": 1}.items() <= jobs[0][0].items()
    assert jobs[0][0]["lease_token"]


def test_the_six_files_do_not_break_a_current_database(owner: Owner) -> None:
    """Workers go on if an operator applies the old runbook again."""
    for path in sorted((sql_folder() / "migrations").glob(SIX)):
        owner.execute(path.read_bytes())
    owner.execute("set role service_role")
    assert owner.execute("select public.claim_one_job('mac', 'w1')").fetchone() == (None,)


def test_an_upgrade_from_release_3_is_closed_and_works_after_each_file(
    applying: Owner, superuser: Owner, exported: list[Path], tmp_path: Path
) -> None:
    """After each file outsiders have no rights and a job runs; old functions exist until the last file."""
    _apply_release_3(applying, tmp_path)
    known = _function_names(superuser)
    [*files, drop_replaced] = _new_files(exported)
    for path in files:
        applying.execute(path.read_bytes())
        assert rights_of_outsiders(superuser) == [], path.name
        assert known <= _function_names(superuser), path.name
        _run_a_job(superuser)
    replaced = _replaced_functions(superuser)
    applying.execute(drop_replaced.read_bytes())
    assert rights_of_outsiders(superuser) == []
    assert known - replaced <= _function_names(superuser)
    _run_a_job(superuser)


def test_an_interrupted_push_of_release_3_is_closed_by_this_one(
    applying: Owner, superuser: Owner, exported: list[Path], tmp_path: Path
) -> None:
    """The files of release 3 left every table open until the last one."""
    _apply_release_3(applying, tmp_path, but_the_last=True)
    assert rights_of_outsiders(superuser) != []
    for path in _new_files(exported):
        applying.execute(path.read_bytes())
        assert rights_of_outsiders(superuser) == [], path.name


def test_the_script_and_the_command_leave_a_project_closed(
    project: str, applying: Owner, superuser: Owner, server: TestServer, tmp_path: Path
) -> None:
    """Both close an empty project, and the command one of release 3."""
    applying.execute(editor_script().encode())
    assert rights_of_outsiders(superuser) == []
    with server.clone() as dsn, psycopg.connect(dsn, autocommit=True) as all_rights:
        all_rights.execute(PROJECT)
        as_owner = make_conninfo(dsn, options=f"-c role={OWNER}")
        with psycopg.connect(as_owner, autocommit=True) as connection:
            _apply_release_3(connection, tmp_path)
        migrate(as_owner)
        assert rights_of_outsiders(all_rights) == []


def test_a_new_migration_keeps_the_functions_it_replaces_until_the_last_file(
    applying: Owner, superuser: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The access statements, which are generated, close the table that it creates."""
    text = "drop function if exists public.claim_one_job(text, text, integer);\ncreate table public.later (id int);\n"
    all_now = (*schema.migrations(), Migration("20991231000000", "later", with_access(text)))
    _apply_release_3(applying, tmp_path)
    monkeypatch.setattr(schema, "migrations", lambda: all_now)
    [*_, later, release, _drop_replaced] = export_supabase(tmp_path / "new")
    applying.execute(later.read_bytes())
    assert rights_of_outsiders(superuser) == []
    _run_a_job(superuser)
    assert "drop function if exists public.claim_one_job(text, text, integer);" in release.read_text()


@pytest.mark.parametrize("path", WITH_ACCESS, ids=lambda path: path.name)
def test_the_access_statements_of_a_file_match_its_sql(path: Path) -> None:
    """Each table and function has an access statement; `uv run python -m docs.generate` writes it."""
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
def test_statements_without_access_statements_are_rejected(statement: str) -> None:
    """Objects that the generator does not cover need their rights in the same statement."""
    with pytest.raises(UncoveredObject):
        with_access(statement)


def test_a_signature_is_parsed_from_the_declaration() -> None:
    """Defaults may contain commas and parentheses."""
    header = "create or replace function public.f(a text default 'x, (y', b numeric(3, 2)[] = array[1, 2], c public.t)"
    assert created(f"-- create table x\n{header} returns int language sql as $$ select 1; $$;") == Created(
        functions=("f(text, numeric(3, 2)[], public.t)",)
    )
    assert created(header.replace("public.f(", "cogo_internal.f(")) == Created(
        internals=("f(text, numeric(3, 2)[], public.t)",)
    )


def test_access_statements_are_added_once() -> None:
    """Adding access statements again changes nothing."""
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
    """Return the files that `supabase db push` has not applied yet, and always the functions."""
    return [path for path in exported if path.name > LAST_OF_RELEASE_3 or path in exported[-2:]]


def _run_a_job(superuser: Owner) -> None:
    superuser.execute("set role service_role")
    superuser.execute('select public.enqueue_jobs(\'[{"type": "browser", "payload": {}}]\')')
    row = superuser.execute("select public.claim_one_job(null, 'w1')").fetchone()
    assert row
    done = superuser.execute("select public.complete_job(%s, %s)", (row[0]["id"], row[0]["lease_token"])).fetchone()
    assert done
    assert done[0]["status"] == "succeeded"
    superuser.execute("reset role")


def _claims(superuser: Owner) -> list[str]:
    named = "select oid::regprocedure::text from pg_proc where proname = 'claim_one_job'"
    return [row[0] for row in superuser.execute(named)]


def _function_names(superuser: Owner) -> set[str]:
    return {
        row[0]
        for row in superuser.execute(
            "select proname from pg_proc"
            " where pronamespace in (to_regnamespace('public'), to_regnamespace('cogo_internal'))"
        )
    }


def _replaced_functions(superuser: Owner) -> set[str]:
    """Return the functions that a migration marked as replaced: internal ones, which no client calls."""
    marked = (
        "select proname from pg_proc"
        " where pronamespace = 'public'::regnamespace and obj_description(oid, 'pg_proc') = %s"
    )
    names = {row[0] for row in superuser.execute(marked, (REPLACED,))}
    assert names
    assert not names & set(FUNCTIONS)
    return names


def _without_roles(script: str) -> str:
    """Remove statements that only a superuser may execute; the project has the roles."""
    return script.replace("create role anon nologin;", "null;")


def _is_ours(line: str, file_name: str) -> bool:
    """Whether the files up to this one create the object: an older schema may have others, for `cogo db migrate`."""
    later = {"jobs_dlq": "20250809001500", "claim_one_job": "20250809004100"}
    if any(name in line and file_name < version for name, version in later.items()):
        return False
    # A policy alone grants nothing, and a function with its caller's rights reads nothing.
    return not any(words in line for words in ("recover_leases", "touch", "complete_job", "workers", "lets in"))
