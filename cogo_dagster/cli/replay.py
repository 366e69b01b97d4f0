"""`cogo replay`: dead letters become new jobs."""

from importlib.metadata import version
from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Mode, Words, run
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import (
    ApplyFile,
    BulkLimit,
    DryRun,
    ExecutorFilter,
    PlanFile,
    Since,
    TypePrefix,
    read_settings,
)
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.cli.words import distance, error_line
from cogo_dagster.queue.bulk import Operation

app = group("Put dead letters back into the queue.")

_WORDS: Final = Words(
    "dead letter",
    "replayed",
    (
        column("job", "id", whole=True),
        column("type"),
        column("replays", whole=True),
        column("reason"),
        Column("failed", lambda row: distance(row["failed_at"]), whole=True),
        Column("error", lambda row: error_line(row["error"])),
    ),
)


@app.command()
def dlq(
    context: typer.Context,
    job_ids: Annotated[list[UUID] | None, typer.Argument(help="Only these jobs; all that match if left out.")] = None,
    *,
    type_prefix: TypePrefix = None,
    executor_id: ExecutorFilter = None,
    since_seconds: Since = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Only of this cause, as `cogo list incidents` shows it.")
    ] = None,
    limit: BulkLimit = None,
    dry_run: DryRun = None,
    plan_file: PlanFile = None,
    apply_file: ApplyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay dead letters, each once, as new jobs with the idempotency key dlq:<job_id>."""
    mode = Mode.of(context, dry_run, plan_file, apply_file, limit, cautious=False)
    operation = Operation(
        "replay_dlq",
        {
            "type_prefix": type_prefix,
            "executor_id": executor_id,
            "since_seconds": since_seconds,
            "fingerprint": fingerprint,
            "job_ids": [str(job_id) for job_id in job_ids] if job_ids else None,
            "code_version": version("cogo-dagster"),
        },
    )
    with open_application(read_settings()) as application:
        totals = run(application, operation, mode, _WORDS, as_json=as_json)
    same = totals.counts["same_code_version"]
    if same and (mode.dry_run or totals.changed):
        typer.echo(
            f"Warning: {same:,} of them failed on this very release ({version('cogo-dagster')}) and may fail again.",
            err=True,
        )
