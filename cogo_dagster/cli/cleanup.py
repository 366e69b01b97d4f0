"""`cogo cleanup`: artifacts whose time is up."""

from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Mode, Words, run
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import ApplyFile, BulkLimit, DryRun, PlanFile, read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.cli.words import distance, size
from cogo_dagster.queue.bulk import Operation

app = group("Let old artifacts go.")

_WORDS: Final = Words(
    "artifact",
    "let go",
    (
        column("job", "job_id", whole=True),
        column("name"),
        Column("size", lambda row: size(row["size_bytes"]), whole=True),
        Column("made", lambda row: distance(row["created_at"]), whole=True),
        column("storage key", "storage_key"),
    ),
)


@app.command()
def artifacts(
    context: typer.Context,
    *,
    ttl_days: Annotated[
        float,
        typer.Option(
            min=0, max=36_500, envvar="ARTIFACT_TTL_DAYS", help="Those made so long ago, unless they say otherwise."
        ),
    ] = 30,
    delete_storage: Annotated[
        bool,
        typer.Option(
            "--delete-storage/--keep-storage",
            envvar="ARTIFACT_DELETE_STORAGE",
            help="Delete the files too; else they stay, and their rows say expired.",
        ),
    ] = True,
    limit: BulkLimit = None,
    dry_run: DryRun = None,
    plan_file: PlanFile = None,
    apply_file: ApplyFile = None,
    adopt_store: Annotated[
        bool,
        typer.Option(
            "--adopt-store",
            help="Delete nothing; make this database the owner of its artifact store, after a copy of the database "
            "used the store, or after a backup was restored.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete artifacts whose time is up; this acts at once, unless it is a dry run."""
    if adopt_store:
        _adopt_store(as_json=as_json)
        return
    mode = Mode.of(context, dry_run, plan_file, apply_file, limit, cautious=False)
    operation = Operation("cleanup_artifacts", {"older_than_days": ttl_days, "delete_objects": delete_storage})
    with open_application(read_settings()) as application:
        run(application, operation, mode, _WORDS, as_json=as_json)


def _adopt_store(*, as_json: bool) -> None:
    with open_application(read_settings()) as application:
        application.store.adopt()
        where = application.store.where
    if as_json:
        print_json({"adopted": where})
    else:
        typer.echo(f"{where} belongs to this database now.")
