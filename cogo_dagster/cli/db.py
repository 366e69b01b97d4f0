"""`cogo db`: start, migrate and inspect the database."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import (
    embedded_server,
    open_embedded_database,
    own_dsn,
    without_password,
)
from cogo_dagster.bootstrap.leftovers import leftovers, remove
from cogo_dagster.cli.command import BadInput, Report, command, group
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import column, print_facts, print_table
from cogo_dagster.formatting.values import counted, distance, run_time, size
from cogo_dagster.queue import migrate as schema
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings

_LEFTOVERS: Final = (
    column("folder", "path", str, whole=True),
    column("size", "size_bytes", size, whole=True),
    column("what"),
)

app = group("Start, migrate and inspect the database.")


@command(app)
def migrate() -> Report:
    """Migrate the database to the schema of this release; idempotent."""
    settings = read_settings()
    with _unmigrated(settings) as dsn:
        before = schema.migrate(dsn)
    document = {"changed": not before.current, "applied": before.pending, "release": schema.SCHEMA_RELEASE}
    if before.current:
        return Report(document, f"{without_password(dsn)} is already at release {schema.SCHEMA_RELEASE}.")
    done = f"applied {counted(len(before.pending), 'migration')}" if before.pending else "replaced the functions"
    return Report(document, f"Migrated {without_password(dsn)} to release {schema.SCHEMA_RELEASE}: {done}.")


@command(app)
def status(*, as_json: bool) -> Report:
    """Show the state of the database server and of its schema, without starting the server."""
    settings = read_settings()
    state = _rest(settings) if settings.uses_rest else _direct(settings)
    report = Report(state, lambda: print_facts(_readable(state)))
    if state["schema"] is not None and not settings.uses_rest:
        # Printed first: the command fails if the schema is not current.
        report.show(as_json=as_json)
        schema.require_current(_dsn(settings))
        raise typer.Exit
    return report


@command(app)
def sql() -> Report:
    """Print the schema as one idempotent script for the Supabase SQL Editor."""
    script = schema.editor_script()
    return Report({"script": script}, lambda: typer.echo(script, nl=False))


@command(app, "export-supabase")
def export_supabase(
    output: Annotated[Path, typer.Option(help="Output folder.")] = Path("supabase/migrations"),
) -> Report:
    """Write the migrations as files for `supabase db push`."""
    try:
        files = schema.export_supabase(output)
    except OSError as error:
        raise BadInput(f"--output {output} cannot be written ({error.strerror}): choose another folder.") from None
    document = {"folder": str(output.resolve()), "files": [file.name for file in files]}
    return Report(document, f"Wrote {counted(len(files), 'file')} to {output}: apply them with `supabase db push`.")


@command(app)
def start() -> Report:
    """Start and migrate the embedded database, and leave it running."""
    settings = _with_embedded_database()
    started = not embedded_server(settings).status().running
    with open_embedded_database(settings, keep=True) as dsn:
        address = without_password(dsn)
    message = f"{'Started' if started else 'Already running:'} {address}."
    return Report({"started": started, "address": address}, message)


@command(app)
def stop() -> Report:
    """Stop the embedded database, even if it is in use."""
    stopped = embedded_server(_with_embedded_database()).stop()
    return Report(
        {"stopped": stopped}, "Stopped the embedded database." if stopped else "The embedded database was not running."
    )


@command(app)
def destroy(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
    as_json: bool,
) -> Report:
    """List the database and files of this installation on this machine, and delete them after confirmation."""
    settings = _with_embedded_database()
    files = leftovers(settings)
    if not as_json:
        print_table([asdict(leftover) for leftover in files], _LEFTOVERS, when_empty="Nothing to delete.")
    confirmed = yes or (not as_json and bool(files) and sys.stdin.isatty() and typer.confirm("Delete all of this?"))
    if confirmed:
        try:
            remove(settings, files)
        except OSError as error:
            raise BadInput(f"{error.filename} cannot be deleted ({error.strerror}): run this as its owner.") from None
    listed = [{**asdict(leftover), "path": str(leftover.path)} for leftover in files]
    message = "Deleted." if confirmed else "Nothing was deleted; use --yes to delete without confirmation."
    return Report({"deleted": confirmed, "folders": listed}, message if files else "")


@contextmanager
def _unmigrated(settings: Settings) -> Iterator[str]:
    """Yield the address of the database without migrating it; starts an embedded one."""
    if settings.uses_embedded_database:
        with embedded_server(settings).running(idle_seconds=settings.database_idle_seconds) as server:
            yield server.dsn()
    elif settings.uses_rest:
        raise BadInput(
            "SUPABASE_URL alone does not give a connection for migrations: run the output of `cogo db sql` in the "
            "SQL Editor, or set COGO_DATABASE_URL."
        )
    else:
        yield own_dsn(settings)


def _with_embedded_database() -> Settings:
    settings = read_settings()
    if not settings.uses_embedded_database:
        raise BadInput("This command is for the embedded database only: COGO_DATABASE_URL or SUPABASE_URL is set.")
    return settings


def _dsn(settings: Settings) -> str:
    return embedded_server(settings).dsn() if settings.uses_embedded_database else own_dsn(settings)


def _direct(settings: Settings) -> dict[str, Json]:
    return _embedded(settings) if settings.uses_embedded_database else _own(settings)


def _rest(settings: Settings) -> dict[str, Json]:
    """Return the status over REST, without the migrations; opening the application checks the release."""
    with opened(settings) as application:
        release = application.queue.schema_version().release
        schema_state = {"release": release, "pending": [], "current": True, "code_release": schema.SCHEMA_RELEASE}
        return {"database": "supabase", "address": application.public_dsn, "server": None, "schema": schema_state}


def _embedded(settings: Settings) -> dict[str, Json]:
    server = asdict(embedded_server(settings).status())
    dsn = _dsn(settings) if server["running"] else None
    address = without_password(dsn) if dsn else None
    return {"database": "embedded", "address": address, "server": server, "schema": _schema(dsn) if dsn else None}


def _own(settings: Settings) -> dict[str, Json]:
    dsn = own_dsn(settings)
    return {"database": "own", "address": without_password(dsn), "server": None, "schema": _schema(dsn)}


def _schema(dsn: str) -> Json:
    state = schema.status(dsn)
    return asdict(state) | {"current": state.current, "code_release": schema.SCHEMA_RELEASE}


def _readable(state: Json) -> dict[str, Json]:
    server, schema_ = state["server"], state["schema"]
    facts = {"database": state["database"], "address": state["address"]}
    if server is not None:
        facts["server"] = _server(server) if server["running"] else "stopped"
        facts["started"] = distance(server["started_at"].isoformat()) if server["started_at"] else None
        facts["data"], facts["log"] = str(server["data_folder"]), str(server["log_file"])
    if schema_ is not None:
        facts["schema"] = _schema_state(schema_)
    return facts


def _server(server: Json) -> str:
    left = server["idle_seconds_left"]
    end = "" if left is None else f", kept for {run_time(max(left, 1))} and while it is used"
    return f"PostgreSQL {server['version']}, process {server['pid']}{end}"


def _schema_state(facts: Json) -> str:
    if facts["release"] is None:
        return "not migrated"
    state = "current" if facts["current"] else f"{counted(len(facts['pending']), 'migration')} pending"
    return f"release {facts['release']} ({state}); this code has {facts['code_release']}"
