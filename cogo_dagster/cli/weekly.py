"""`cogo weekly`: the summary of a week."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.gate_source import BranchOption, Source, SourceOption, metrics_api
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, echo_markdown, print_json
from cogo_dagster.quality.weeks import finished_week, start_of, week_of

app = group("How a week went, beside the week before.")

WeekOption = Annotated[
    str | None, typer.Option("--week", metavar="WEEK", help="An ISO week, as 2026-W47; the last one if left out.")
]

AgainFlag = Annotated[bool, typer.Option("--again", help="Send it once more, also to targets that accepted it.")]


@app.command()
def enqueue(*, week: WeekOption = None, again: AgainFlag = False, as_json: JsonFlag = False) -> None:
    """Enqueue the job that sends a week to people; a second time it is the same job, until nobody was told by it."""
    if week is not None:
        finished_week(week, datetime.now(UTC))
    with open_application(read_settings()) as application:
        chosen = week or application.gates.last_week()
        job = application.enqueue_week(chosen, again=again)
    if as_json:
        print_json({"job_id": str(job.job_id), "created": job.created, "week": chosen})
    elif job.created:
        typer.echo(f"Enqueued weekly_summary job {job.job_id} for {chosen}.")
    else:
        typer.echo(
            f"There already is weekly_summary job {job.job_id} for {chosen}: nothing was added; "
            "`--again` sends it once more."
        )


@app.command()
def show(
    *,
    week: WeekOption = None,
    branch: BranchOption = None,
    source: SourceOption = Source.DB,
    as_json: JsonFlag = False,
) -> None:
    """Print a week's summary; sends nothing."""
    settings = read_settings()
    if source is Source.API:
        found = metrics_api(settings).weekly(week and week_of(start_of(week)), branch)
    else:
        with open_application(settings) as application:
            found = application.gates.weekly(week, branch)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        echo_markdown(found.markdown)
