"""`cogo db`: the database and its schema."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import (
    embedded_server,
    open_application,
    open_database,
    own_dsn,
    without_password,
)
from cogo_dagster.bootstrap.leftovers import leftovers, remove
from cogo_dagster.cli.command import BadInput, Report, command, group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import column, print_facts, print_table
from cogo_dagster.formatting.values import distance, size
from cogo_dagster.queue import migrate as schema
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings

_LEFT: Final = (
    column("folder", "path", str, whole=True),
    column("size", "size_bytes", size, whole=True),
    column("what"),
)

app = group("Start, migrate and look at the database.")


@command(app)
def migrate() -> Report:
    """Bring the database to this release's schema; running it again changes nothing."""
    settings = read_settings()
    with _unmigrated(settings) as dsn:
        before = schema.migrate(dsn)
    document = {"changed": not before.current, "applied": before.pending, "release": schema.SCHEMA_RELEASE}
    if before.current:
        return Report(document, f"{without_password(dsn)} is at release {schema.SCHEMA_RELEASE} already.")
    done = f"applied {len(before.pending)} migrations" if before.pending else "renewed the functions"
    return Report(document, f"{without_password(dsn)} is at release {schema.SCHEMA_RELEASE} now: {done}.")


@command(app)
def status(*, as_json: bool) -> Report:
    """Show the database's server and how far it is migrated, starting nothing."""
    settings = read_settings()
    found = _rest(settings) if settings.uses_rest else _direct(settings)
    report = Report(found, lambda: print_facts(_readable(found)))
    if found["schema"] is not None and not settings.uses_rest:
        # Shown first: where the schema is not current, the command fails.
        report.show(as_json=as_json)
        schema.require_current(_dsn(settings))
        raise typer.Exit
    return report


@command(app)
def sql() -> Report:
    """Print one script for the Supabase SQL Editor; running it again changes nothing."""
    script = schema.editor_script()
    return Report({"script": script}, lambda: typer.echo(script, nl=False))


@command(app, "export-supabase")
def export_supabase(
    output: Annotated[Path, typer.Option(help="The folder to write.")] = Path("supabase/migrations"),
) -> Report:
    """Write the folder that `supabase db push` reads."""
    try:
        files = schema.export_supabase(output)
    except OSError as error:
        raise BadInput(f"--output {output} cannot be written ({error.strerror}): name another folder.") from None
    document = {"folder": str(output.resolve()), "files": [file.name for file in files]}
    return Report(document, f"Wrote {len(files)} files to {output}: apply them with `supabase db push`.")


@command(app)
def start() -> Report:
    """Start the embedded database, migrated, and leave it running."""
    settings = _with_embedded_database()
    started = not embedded_server(settings).status().running
    with open_database(settings, keep=True) as dsn:
        address = without_password(dsn)
    sentence = f"{'Started' if started else 'Already running:'} {address}."
    return Report({"started": started, "address": address}, sentence)


@command(app)
def stop() -> Report:
    """Stop the embedded database, whoever uses it."""
    stopped = embedded_server(_with_embedded_database()).stop()
    return Report({"stopped": stopped}, "Stopped." if stopped else "It was not running.")


@command(app)
def destroy(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: bool,
) -> Report:
    """List what this installation keeps on this machine, its database and files too, and delete it if you agree."""
    settings = _with_embedded_database()
    found = leftovers(settings)
    if not as_json:
        print_table([asdict(one) for one in found], _LEFT, when_empty="Nothing is left here.")
    agreed = yes or (not as_json and bool(found) and sys.stdin.isatty() and typer.confirm("Delete all of this?"))
    if agreed:
        try:
            remove(settings, found)
        except OSError as error:
            raise BadInput(f"{error.filename} cannot be deleted ({error.strerror}): run this as its owner.") from None
    listed = [{**asdict(one), "path": str(one.path)} for one in found]
    sentence = "All of it was deleted." if agreed else "Nothing was deleted; --yes does it."
    return Report({"deleted": agreed, "folders": listed}, sentence if found else "")


@contextmanager
def _unmigrated(settings: Settings) -> Iterator[str]:
    """Yield the address of the database as it is, started if it is the embedded one."""
    if settings.uses_embedded_database:
        with embedded_server(settings).running() as server:
            yield server.dsn()
    elif settings.uses_rest:
        raise BadInput(
            "SUPABASE_URL alone gives no connection to migrate over: run the script that `cogo db sql` prints in the "
            "SQL Editor, or set COGO_DATABASE_URL."
        )
    else:
        yield own_dsn(settings)


def _with_embedded_database() -> Settings:
    settings = read_settings()
    if not settings.uses_embedded_database:
        raise BadInput("The settings name a database of your own (COGO_DATABASE_URL, SUPABASE_URL): start it yourself.")
    return settings


def _dsn(settings: Settings) -> str:
    return embedded_server(settings).dsn() if settings.uses_embedded_database else own_dsn(settings)


def _direct(settings: Settings) -> dict[str, Json]:
    return _embedded(settings) if settings.uses_embedded_database else _own(settings)


def _rest(settings: Settings) -> dict[str, Json]:
    """Ask over REST, which knows the release and not the single migrations; a wrong release is refused on the way."""
    with open_application(settings) as application:
        release = application.queue.schema_version().release
        found = {"release": release, "pending": [], "current": True, "code_release": schema.SCHEMA_RELEASE}
        return {"database": "supabase", "address": application.public_dsn, "server": None, "schema": found}


def _embedded(settings: Settings) -> dict[str, Json]:
    server = asdict(embedded_server(settings).status())
    dsn = _dsn(settings) if server["running"] else None
    address = without_password(dsn) if dsn else None
    return {"database": "embedded", "address": address, "server": server, "schema": _schema(dsn) if dsn else None}


def _own(settings: Settings) -> dict[str, Json]:
    dsn = own_dsn(settings)
    return {"database": "own", "address": without_password(dsn), "server": None, "schema": _schema(dsn)}


def _schema(dsn: str) -> Json:
    found = schema.status(dsn)
    return asdict(found) | {"current": found.current, "code_release": schema.SCHEMA_RELEASE}


def _readable(found: Json) -> dict[str, Json]:
    server, schema_ = found["server"], found["schema"]
    facts = {"database": found["database"], "address": found["address"]}
    if server is not None:
        facts["server"] = f"PostgreSQL {server['version']}, process {server['pid']}" if server["running"] else "stopped"
        facts["started"] = distance(server["started_at"].isoformat()) if server["started_at"] else None
        facts["data"], facts["log"] = str(server["data_folder"]), str(server["log_file"])
    if schema_ is not None:
        facts["schema"] = _schema_words(schema_)
    return facts


def _schema_words(found: Json) -> str:
    if found["release"] is None:
        return "not migrated"
    state = "current" if found["current"] else f"{len(found['pending'])} migrations pending"
    return f"release {found['release']} ({state}); this code has {found['code_release']}"
