"""`cogo weekly` and `cogo notify`: show and send the weekly summary of the quality gate."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cogo_dagster.cli.command import ExitCode, Report, command, echo_markdown, group
from cogo_dagster.cli.gate import BranchOption, Source, SourceOption, metrics_api
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings
from cogo_dagster.quality.gates import PublishedWeek
from cogo_dagster.quality.weeks import finished_week, start_of, week_of
from cogo_dagster.settings import SettingsError

app = group("Show or enqueue the weekly summary of the quality gate.")
notify = group("Send a notification to every target of WEBHOOK_TYPE.")

WeekOption = Annotated[
    str | None,
    typer.Option("--week", metavar="WEEK", help="ISO week, such as 2026-W47; the last finished week by default."),
]

AgainFlag = Annotated[bool, typer.Option("--again", help="Send it again, also to targets that have received it.")]


@command(app)
def enqueue(*, week: WeekOption = None, again: AgainFlag = False) -> Report:
    """Enqueue the job that sends a weekly summary, at most one per week unless it delivered nothing."""
    requested = week and finished_week(week, datetime.now(UTC))
    with opened(read_settings()) as application:
        chosen = requested or application.gates.last_week()
        job = application.weeks.enqueue(chosen, again=again)
    document = {"job_id": str(job.job_id), "created": job.created, "week": chosen}
    if job.created:
        return Report(document, f"Enqueued weekly_summary job {job.job_id} for {chosen}.")
    message = (
        f"Not enqueued: weekly_summary job {job.job_id} for {chosen} already exists; use --again to send it again."
    )
    return Report(document, message)


@command(app)
def show(*, week: WeekOption = None, branch: BranchOption = None, source: SourceOption = Source.DB) -> Report:
    """Print the summary of a week without sending it."""
    settings = read_settings()
    if source is Source.API:
        summary = metrics_api(settings).weekly(week and week_of(start_of(week)), branch)
    else:
        with opened(settings) as application:
            summary = application.gates.weekly(week, branch)
    return Report(summary.model_dump(mode="json"), lambda: echo_markdown(summary.markdown))


@command(notify)
def weekly(
    *,
    week: Annotated[
        str | None, typer.Option(help="ISO week, such as 2026-W47; the last finished week by default.")
    ] = None,
    source: SourceOption = Source.API,
    again: AgainFlag = False,
) -> Report:
    """Send the weekly summary, once per week; a second call sends it again only if no target has received it."""
    settings = read_settings()
    if not settings.webhook_types:
        raise SettingsError("WEBHOOK_TYPE is not set: set it to one or more of github, slack, http, googlechat.")
    chosen = week and finished_week(week, datetime.now(UTC))
    summary = metrics_api(settings).weekly(chosen) if source is Source.API else None
    with opened(settings) as application:
        weeks = application.weeks
        published = PublishedWeek(summary) if summary else weeks.publish(chosen or application.gates.last_week())
        announced = weeks.announce(published, again=again)
        report = application.alerts.deliver()
        waiting = [
            row.target
            for row in application.alerts.list_deliveries(alert_id=announced.alert_id)
            if row.status != "delivered"
        ]
    errors = [f"{attempt.target}: {attempt.receipt.message}" for attempt in report.attempts if attempt.receipt.message]
    name, targets = f"The summary of {published.summary.week}", ", ".join(announced.targets)
    message = (
        f"{name} was announced to {targets}."
        if announced.created
        else f"{name} had already been announced to {targets}; use --again to send it again."
    )
    return Report(
        {"key": f"weekly:{published.summary.week}", **announced.document, "undelivered": waiting, "errors": errors},
        "\n".join([message, *errors]),
        ExitCode.FAILED if waiting else ExitCode.OK,
    )
