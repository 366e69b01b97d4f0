"""`cogo purge`: jobs that ended long ago."""

from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Mode, Words, run
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import ApplyFile, BulkLimit, DryRun, PlanFile, read_settings
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.cli.words import BadInput, distance
from cogo_dagster.queue.bulk import Operation

app = group("Delete jobs that ended long ago.")

_ENDED: Final = ("succeeded", "cancelled", "failed")
_WORDS: Final = Words(
    "job",
    "purged",
    (
        column("job", "id", whole=True),
        column("type"),
        column("status", whole=True),
        column("attempts", whole=True),
        Column("ended", lambda row: distance(row["finished_at"]), whole=True),
    ),
)


@app.command()
def jobs(
    context: typer.Context,
    *,
    ttl_days: Annotated[
        float, typer.Option(min=0, max=36_500, envvar="JOB_TTL_DAYS", help="Those that ended so long ago.")
    ] = 30,
    statuses: Annotated[
        str,
        typer.Option("--status", envvar="JOB_PURGE_STATUSES", help="Of succeeded, cancelled and failed, by commas."),
    ] = "succeeded,cancelled",
    limit: BulkLimit = None,
    dry_run: DryRun = None,
    plan_file: PlanFile = None,
    apply_file: ApplyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Delete ended jobs and their attempts; a dry run unless told otherwise. Dead letters and artifacts stay."""
    mode = Mode.of(context, dry_run, plan_file, apply_file, limit, cautious=True)
    operation = Operation("purge_jobs", {"older_than_days": ttl_days, "statuses": _statuses(statuses)})
    with open_application(read_settings()) as application:
        run(application, operation, mode, _WORDS, as_json=as_json)


def _statuses(given: str) -> list[str]:
    words = [word.strip().lower() for word in given.split(",") if word.strip()]
    wrong = next((word for word in words if word not in _ENDED), None)
    if wrong in ("queued", "running"):
        raise BadInput(f"JOB_PURGE_STATUSES names {wrong}, and live jobs are never purged: use {', '.join(_ENDED)}.")
    if wrong or not words:
        raise BadInput(f"JOB_PURGE_STATUSES is {given!r}: it must be some of {', '.join(_ENDED)}, joined by commas.")
    return words
