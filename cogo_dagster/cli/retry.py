"""`cogo retry`: failed jobs get another chance."""

from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Mode, Words, run
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import ApplyFile, BulkLimit, DryRun, PlanFile, Since, read_settings
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.cli.words import distance, error_line
from cogo_dagster.queue.bulk import Operation

app = group("Give failed jobs another chance.")

_WORDS: Final = Words(
    "job",
    "put back into the queue",
    (
        column("job", "id", whole=True),
        column("type"),
        Column(
            "attempts",
            lambda row: (
                f"{row['attempts']}/{row['max_attempts']} → {row['attempts_after']}/{row['max_attempts_after']}"
            ),
            whole=True,
        ),
        Column("failed", lambda row: distance(row["failed_at"]), whole=True),
        Column("error", lambda row: error_line(row["error"])),
    ),
)


@app.command()
def failed(
    context: typer.Context,
    job_ids: Annotated[list[UUID] | None, typer.Argument(help="Only these jobs; all that match if left out.")] = None,
    *,
    type_prefix: Annotated[
        str | None, typer.Option("--type", envvar="TYPE_PREFIX", help="Only types that begin so.")
    ] = None,
    executor_id: Annotated[
        str | None, typer.Option("--executor", envvar="EXECUTOR_ID", help="Only jobs addressed to this executor id.")
    ] = None,
    since_seconds: Since = None,
    reset_attempts: Annotated[
        bool,
        typer.Option(
            "--reset-attempts/--keep-attempts",
            envvar="RESET_ATTEMPTS",
            help="Count attempts from zero again; else a job out of attempts is granted one more.",
        ),
    ] = False,
    limit: BulkLimit = None,
    dry_run: DryRun = None,
    plan_file: PlanFile = None,
    apply_file: ApplyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Put failed jobs back into the queue, under their own ids; a dry run unless told otherwise."""
    mode = Mode.of(context, dry_run, plan_file, apply_file, limit, cautious=True)
    operation = Operation(
        "retry_failed",
        {
            "type_prefix": type_prefix,
            "executor_id": executor_id,
            "since_seconds": since_seconds,
            "job_ids": [str(job_id) for job_id in job_ids] if job_ids else None,
            "reset_attempts": reset_attempts,
        },
    )
    with open_application(read_settings()) as application:
        run(application, operation, mode, _WORDS, as_json=as_json)
