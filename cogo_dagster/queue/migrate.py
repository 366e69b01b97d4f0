"""Brings a database to this release's schema: migrations once, in order; functions and grants when they changed."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from cogo_dagster.queue.connect import connected
from cogo_dagster.queue.errors import AccessDenied, QueueError, SchemaOutOfDate, SchemaTooNew

SCHEMA_RELEASE: Final = 4
"""Counts up with every change under sql/ that is released; a database with a higher one refuses older code."""

_LOCK_KEY: Final = 0x434F474F  # "COGO"
_STATEMENT_SECONDS: Final = 1800.0

_HISTORY_TABLE: Final = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/migrations; `version` is the number before the first underscore."""

    version: str
    name: str
    statements: str


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands.

    Attributes:
        release: The database's release; None when it was never migrated.
        pending: Names of the migrations it lacks.
        functions_current: Whether its functions are this code's.
    """

    release: int | None
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    functions_current: bool

    @property
    def current(self) -> bool:
        """Whether there is nothing to do."""
        return not self.pending and self.functions_current


def sql_folder() -> Path:
    """Return sql/: beside the package in a checkout, inside it in an installed wheel."""
    installed = Path(__file__).resolve().parent.parent / "_sql"
    return installed if installed.is_dir() else installed.parent.parent / "sql"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the migrations in the order they are applied."""
    return tuple(_read(path) for path in sorted((sql_folder() / "migrations").glob("*.sql")))


@cache
def functions_script() -> str:
    """Return every function and the grants as one script that can be applied again and again."""
    files = [*sorted((sql_folder() / "functions").glob("*.sql")), sql_folder() / "grants.sql"]
    bodies = "\n".join(path.read_text(encoding="utf-8") for path in files)
    # Functions name others that come later. Not `set local`: who applies this may do so outside a transaction.
    return f"set check_function_bodies = off;\n\n{bodies}\nreset check_function_bodies;\n"


def migrate(dsn: str) -> SchemaStatus:
    """Apply what is missing, all or nothing, one caller at a time.

    Returns:
        The status before, so that the caller can say what was done.

    Raises:
        SchemaTooNew: The database's release is higher than this code's.
        DatabaseUnavailable: No connection.
        AccessDenied: No right to create what is missing.
    """
    link = connected(dsn, wait_seconds=_STATEMENT_SECONDS, application_name="cogo migrate")
    with link as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        before = _status(connection)
        _refuse_newer(before.release)
        if before.current:
            return before
        try:
            _apply(connection, before)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessDenied(
                f"This role may not change the schema ({error.diag.message_primary}): migrate as the database's owner."
            ) from None
        except psycopg.Error as error:
            raise QueueError(f"The migration failed and nothing was changed: {error.diag.message_primary}") from error
    return before


def status(dsn: str) -> SchemaStatus:
    """Say where a database stands, changing nothing.

    Raises:
        DatabaseUnavailable: No connection.
        AccessDenied: No right to see the table of migrations.
    """
    with connected(dsn, application_name="cogo migrate") as connection:
        try:
            return _status(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessDenied(
                f"This role may not see the migrations ({error.diag.message_primary}): ask as the database's owner."
            ) from None


def require_current(dsn: str) -> None:
    """Refuse to work on a database that is not at this release.

    Raises:
        SchemaOutOfDate: Run `cogo db migrate`.
        SchemaTooNew: Update this code.
    """
    with connected(dsn, application_name="cogo") as connection:
        release = _release(connection)
    require_release(release, "run `cogo db migrate`")


def require_release(release: int | None, remedy: str) -> None:
    """Refuse a database that is not at this release; the remedy ends the sentence.

    Raises:
        SchemaOutOfDate: It has to be migrated.
        SchemaTooNew: Update this code.
    """
    _refuse_newer(release)
    if release is None or release < SCHEMA_RELEASE:
        have = "has no COGO schema" if release is None else f"is at release {release}, this code at {SCHEMA_RELEASE}"
        raise SchemaOutOfDate(f"The database {have}: {remedy}.")


def editor_script() -> str:
    """Return one script for the Supabase SQL Editor; running it again changes nothing."""
    steps = [
        "begin;",
        f"select pg_advisory_xact_lock({_LOCK_KEY});",
        _HISTORY_TABLE,
        *(_guarded(migration) for migration in migrations()),
        functions_script(),
        _record_release(),
        "commit;",
    ]
    return "\n".join(steps) + "\n"


def export_supabase(folder: Path) -> list[Path]:
    """Write the folder that `supabase db push` reads: the migrations, then functions and grants, one file a release."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for migration in migrations():
        path = folder / f"{migration.version}_{migration.name}.sql"
        path.write_text(migration.statements, encoding="utf-8")
        written.append(path)
    last = migrations()[-1].version
    path = folder / f"{int(last) + SCHEMA_RELEASE}_cogo_release_{SCHEMA_RELEASE}.sql"
    path.write_text(f"{functions_script()}\n{_record_release()}\n", encoding="utf-8")
    return [*written, path]


def _read(path: Path) -> Migration:
    version, _, name = path.stem.partition("_")
    return Migration(version, name, path.read_text(encoding="utf-8"))


def _status(connection: psycopg.Connection[TupleRow]) -> SchemaStatus:
    recorded: set[str] = set()
    if _exists(connection, "supabase_migrations.schema_migrations"):
        recorded = {row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")}
    release, digest = None, None
    if _exists(connection, "public.deployment"):
        row = connection.execute("select release, functions_digest from public.deployment").fetchone()
        release, digest = row or (None, None)
    return SchemaStatus(
        release=release,
        applied=tuple(m.name for m in migrations() if m.version in recorded),
        pending=tuple(m.name for m in migrations() if m.version not in recorded),
        functions_current=digest == _functions_digest(),
    )


def _release(connection: psycopg.Connection[TupleRow]) -> int | None:
    """Ask as any role that may call the engine; only an owner sees the table of migrations."""
    try:
        row = connection.execute("select public.schema_version() ->> 'release'").fetchone()
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable):
        return None
    except psycopg.errors.InsufficientPrivilege as error:
        raise AccessDenied(
            f"This role may not use the queue ({error.diag.message_primary}): connect as one that has service_role."
        ) from None
    return int(row[0]) if row and row[0] else None


def _exists(connection: psycopg.Connection[TupleRow], relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (relation,)).fetchone()
    return bool(row and row[0])


def _refuse_newer(release: int | None) -> None:
    if release is not None and release > SCHEMA_RELEASE:
        raise SchemaTooNew(
            f"The database is at release {release}, this code only knows {SCHEMA_RELEASE}: "
            "update the code; the database is left as it is."
        )


def _apply(connection: psycopg.Connection[TupleRow], before: SchemaStatus) -> None:
    connection.execute(_HISTORY_TABLE)
    for migration in migrations():
        if migration.name in before.pending:
            connection.execute(migration.statements.encode())
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (migration.version, migration.name, [migration.statements]),
            )
    connection.execute(functions_script().encode())
    connection.execute(_record_release().encode())


def _functions_digest() -> str:
    return hashlib.sha256(functions_script().encode()).hexdigest()


def _record_release() -> str:
    return f"""
do $record$ begin
    update public.deployment
    set release = {SCHEMA_RELEASE}, functions_digest = '{_functions_digest()}', updated_at = now();
    if not found then
        insert into public.deployment (release, functions_digest) values ({SCHEMA_RELEASE}, '{_functions_digest()}');
    end if;
end $record$;
"""  # noqa: S608 - our own constants


def _guarded(migration: Migration) -> str:
    tag = f"$migration_{migration.version}$"
    return (
        f"do $guard$ begin\n"
        f"if not exists (select from supabase_migrations.schema_migrations "
        f"where version = '{migration.version}') then\n"
        f"execute {tag}{migration.statements}{tag};\n"
        f"insert into supabase_migrations.schema_migrations (version, name) "
        f"values ('{migration.version}', '{migration.name}');\n"
        f"end if;\nend $guard$;"
    )
