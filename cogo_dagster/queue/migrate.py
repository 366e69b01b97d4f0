"""Migrates a database to this release's schema: migrations once, in order; functions and grants when changed."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from cogo_dagster.queue.connect import connected, first_line
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, SchemaOutOfDate, SchemaTooNew
from cogo_dagster.queue.rows.stats import SchemaVersion
from cogo_dagster.queue.schema_access import Created, everything_created, with_access, without_dropped_functions
from cogo_dagster.queue.schema_indexes import BUILT_LATER, build_indexes
from cogo_dagster.queue.schema_scripts import (
    ROLES,
    drop_script,
    grants_script,
    guarded,
    lock_script,
    mark_script,
    mentioned,
)

SCHEMA_RELEASE: Final = 5
"""Incremented with every released change below sql/; older code never migrates a database with a higher one."""

OLDEST_CLIENT_RELEASE: Final = 4
"""The oldest release whose code works with this schema: raised by a change that breaks calls of older workers."""

_TRIES: Final = 3
_LAST_OF_RELEASE_3: Final = "20261125050000"

_LOCK_KEY: Final = 0x434F474F  # "COGO"
_DROP_REPLACED: Final = drop_script(_LOCK_KEY + 1)
_STATEMENT_SECONDS: Final = 1800.0

_HISTORY_TABLE: Final = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of sql/migrations; `version` is the number before the first underscore."""

    version: str
    name: str
    statements: str


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The state of a database's schema.

    Attributes:
        release: The database's release; None if it was never migrated.
        pending: Names of the missing migrations.
        functions_current: Whether its functions are those of this code.
    """

    release: int | None
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    functions_current: bool

    @property
    def current(self) -> bool:
        """Whether nothing needs to be migrated."""
        return not self.pending and self.functions_current


def sql_folder() -> Path:
    """Return the folder sql/: beside the package in a checkout, inside it in an installed wheel."""
    installed = Path(__file__).resolve().parent.parent / "_sql"
    return installed if installed.is_dir() else installed.parent.parent / "sql"


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the migrations in the order they are applied."""
    return tuple(_read(path) for path in sorted((sql_folder() / "migrations").glob("*.sql")))


@cache
def functions_script() -> str:
    """Return all functions and the grants as one script that can be applied repeatedly."""
    bodies = "\n".join(map(with_access, _function_files()))
    # Functions refer to later ones. Not `set local`, since the script may be applied outside a transaction.
    marked = mark_script(schema_objects().internals)
    return f"set check_function_bodies = off;\n\n{bodies}\n{grants()}\n{marked}\nreset check_function_bodies;\n"


@cache
def schema_objects() -> Created:
    """Return the names of this release's tables and functions."""
    return everything_created([*(migration.statements for migration in migrations()), *_function_files()])


def grants() -> str:
    """Return the expected content of sql/grants.sql."""
    return grants_script(schema_objects())


def migrate(dsn: str) -> SchemaStatus:
    """Apply what is missing in one transaction, one caller at a time, while workers may be running.

    Returns:
        The status before the migration, so that the caller can report what was done.

    Raises:
        SchemaTooNew: The database's release is higher than this code's.
        DatabaseUnavailable: The database cannot be reached.
        AccessDenied: The role must not create what is missing.
        QueueError: A statement failed, or a long transaction locks a table; nothing was changed. Or see
            `build_indexes`.
    """
    with connected(dsn, wait_seconds=_STATEMENT_SECONDS, application_name="cogo migrate") as connection:
        try:
            before = _migrate_with_retries(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessDenied(
                f"This role may not change the schema ({error.diag.message_primary}): migrate as the database's owner."
            ) from None
        except psycopg.errors.DiskFull as error:
            raise DatabaseUnavailable(
                f"The migration failed and nothing was changed: the disk is full ({first_line(error)}). Free some "
                "space on the database's disk; the embedded database is below COGO_HOME."
            ) from error
        except psycopg.Error as error:
            message = " ".join(filter(None, (error.diag.message_primary, error.diag.message_hint))) or first_line(error)
            raise QueueError(f"The migration failed and nothing was changed: {message}") from error
        with suppress(psycopg.Error):  # the next call retries
            connection.execute(_DROP_REPLACED.encode())
        build_indexes(connection)
    return before


def status(dsn: str) -> SchemaStatus:
    """Return the state of a database's schema; changes nothing.

    Raises:
        DatabaseUnavailable: The database cannot be reached.
        AccessDenied: The role must not read the table of migrations.
    """
    with connected(dsn, application_name="cogo migrate") as connection:
        try:
            return _status(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AccessDenied(
                f"This role may not see the migrations ({error.diag.message_primary}): connect as the database's owner."
            ) from None


def require_current(dsn: str) -> None:
    """Check that a database is at this release.

    Raises:
        SchemaOutOfDate: The database must be migrated.
        SchemaTooNew: This code must be updated.
    """
    with connected(dsn, application_name="cogo") as connection:
        check_current(connection)


def check_current(connection: psycopg.Connection[TupleRow]) -> None:
    """Check the database of a connection as `require_current` does."""
    require_release(_version(connection), "run `cogo db migrate`")


def require_release(version: SchemaVersion | None, remedy: str) -> None:
    """Check that a database is neither older than this code nor too new for it.

    Args:
        version: The result of `schema_version`; None if the database was never migrated.
        remedy: What to do about an old database; the end of the message.

    Raises:
        SchemaOutOfDate: The database must be migrated.
        SchemaTooNew: This code must be updated.
    """
    release = version.release if version else None
    oldest = version.oldest_client_release if version else None
    _check_not_newer(release, release if oldest is None else oldest)
    if release is None or release < SCHEMA_RELEASE:
        have = "has no COGO schema" if release is None else f"is at release {release}, this code at {SCHEMA_RELEASE}"
        raise SchemaOutOfDate(f"The database {have}: {remedy}.")


def editor_script() -> str:
    """Return one script for the Supabase SQL Editor, which can be run repeatedly.

    Its second transaction drops the functions that the first one replaced.
    """
    steps = [
        "begin;",
        f"select pg_advisory_xact_lock({_LOCK_KEY});",
        _HISTORY_TABLE,
        *_preparations(migrations(), recorded=True),
        *(guarded(migration.version, migration.name, migration.statements) for migration in migrations()),
        functions_script(),
        _record_release(),
        "commit;",
        "begin;",
        _DROP_REPLACED,
        "commit;",
    ]
    return "\n".join(steps) + "\n"


def export_supabase(folder: Path) -> list[Path]:
    """Write the folder for `supabase db push`: the migrations, then two files per release.

    The first contains functions and grants, the second drops the replaced functions.

    After each file only service_role has access to the database, and the existing functions still work.

    Raises:
        UncoveredObject: A migration creates an object whose privileges are not revoked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[str]] = {}
    dropped: list[str] = []
    for place, migration in enumerate(migrations()):
        text = migration.statements
        if migration.version > _LAST_OF_RELEASE_3:
            # Replaced functions stay until the last file has created the new ones, since workers run in between.
            text, late = without_dropped_functions(text)
            dropped += late
        so_far = everything_created(earlier.statements for earlier in migrations()[: place + 1])
        files[f"{migration.version}_{migration.name}"] = [*_exported([migration], text), grants_script(so_far)]
    last = int(migrations()[-1].version) + SCHEMA_RELEASE
    release = [*_exported([], "\n".join(dropped)), functions_script(), _record_release()]
    files[f"{last}_cogo_release_{SCHEMA_RELEASE}"] = release
    files[f"{last + 1}_cogo_release_{SCHEMA_RELEASE}_drop_replaced"] = [_DROP_REPLACED]
    return [_written(folder / f"{name}.sql", [*parts, "reset lock_timeout;"]) for name, parts in files.items()]


def _function_files() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((sql_folder() / "functions").glob("*.sql"))]


def _preparations(pending: Sequence[Migration], *, recorded: bool) -> list[str]:
    """Return the statements for the roles, which may wait for another session, and for the locks, which must not."""
    ours = schema_objects()
    touched = {migration.version: mentioned(migration.statements, ours.tables) for migration in pending}
    return [ROLES, lock_script(touched, ours, recorded=recorded)]


def _exported(pending: Sequence[Migration], text: str) -> list[str]:
    roles, locks = _preparations(pending, recorded=False)
    # Not `set local`, since the file may be applied outside a transaction.
    return [roles, "set lock_timeout = '3s';", locks, text]


def _written(path: Path, parts: Sequence[str]) -> Path:
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _read(path: Path) -> Migration:
    version, _, name = path.stem.partition("_")
    return Migration(version, name, with_access(path.read_text(encoding="utf-8")))


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


def _version(connection: psycopg.Connection[TupleRow]) -> SchemaVersion | None:
    """Return the version as a role that may use the queue; only the owner can read the table of migrations."""
    try:
        row = connection.execute("select public.schema_version()").fetchone()
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable):
        return None
    except psycopg.errors.InsufficientPrivilege as error:
        raise AccessDenied(
            f"This role may not use the queue ({error.diag.message_primary}): connect as one that has service_role."
        ) from None
    return SchemaVersion.model_validate(row[0]) if row and row[0] else None


def _exists(connection: psycopg.Connection[TupleRow], relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (relation,)).fetchone()
    return bool(row and row[0])


def _check_not_newer(release: int | None, needed: int | None) -> None:
    if needed is not None and needed > SCHEMA_RELEASE:
        raise SchemaTooNew(
            f"The database is at release {release}, but this code supports at most {SCHEMA_RELEASE}: "
            "update the code; the database was not changed."
        )


def _migrate_with_retries(connection: psycopg.Connection[TupleRow]) -> SchemaStatus:
    for _ in range(_TRIES - 1):
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return _migrate(connection)
    return _migrate(connection)


def _migrate(connection: psycopg.Connection[TupleRow]) -> SchemaStatus:
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        before = _status(connection)
        _check_not_newer(before.release, before.release)
        if not before.current:
            _apply(connection, before)
    return before


def _apply(connection: psycopg.Connection[TupleRow], before: SchemaStatus) -> None:
    connection.execute(_HISTORY_TABLE)
    connection.execute(BUILT_LATER)
    pending = [migration for migration in migrations() if migration.name in before.pending]
    for statement in _preparations(pending, recorded=False):
        connection.execute(statement.encode())
    for migration in pending:
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
    if not exists (select from public.deployment) then
        insert into public.deployment (release, oldest_client_release, functions_digest)
        values ({SCHEMA_RELEASE}, {OLDEST_CLIENT_RELEASE}, '{_functions_digest()}');
    elsif not exists (select from public.deployment
                      where release = {SCHEMA_RELEASE} and oldest_client_release = {OLDEST_CLIENT_RELEASE}
                        and functions_digest = '{_functions_digest()}') then
        update public.deployment
        set release = {SCHEMA_RELEASE}, oldest_client_release = {OLDEST_CLIENT_RELEASE},
            functions_digest = '{_functions_digest()}', updated_at = now();
    end if;
end $record$;
"""  # noqa: S608 - constants of this module
