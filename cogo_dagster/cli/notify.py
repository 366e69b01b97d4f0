"""`cogo notify`: tell people something through every target."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.weekly_source import Source, weekly_summary
from cogo_dagster.settings import SettingsError

app = group("Tell people something through every target of WEBHOOK_TYPE.")


@app.command()
def weekly(
    week: Annotated[str | None, typer.Option(help="As 2026-W47; the last whole week if left out.")] = None,
    source: Annotated[
        Source, typer.Option(help="api: the metrics API at METRICS_BASE. db: the database itself.")
    ] = Source.API,
    as_json: JsonFlag = False,
) -> None:
    """Send the weekly summary, once per week: a second call tells nobody anything new."""
    settings = read_settings()
    if not settings.webhook_types:
        raise SettingsError("WEBHOOK_TYPE is not set: name at least one of github, slack, http, googlechat.")
    with open_application(settings) as application:
        announcement = weekly_summary(application, source, week)
        answer = application.alerts.announce(announcement)
        report = application.alerts.deliver()
        waiting = [
            row["target"]
            for row in application.alerts.list_deliveries(alert_id=answer["alert_id"])
            if row["status"] != "delivered"
        ]
    errors = [f"{one.target}: {one.receipt.sentence}" for one in report.attempts if one.receipt.sentence]
    if as_json:
        print_json({"key": announcement.key, **answer, "undelivered": waiting, "errors": errors})
    else:
        told = "is announced" if answer["created"] else "was announced before"
        typer.echo(f"{announcement.title} {told} to {', '.join(answer['targets'])}.")
        for sentence in errors:
            typer.echo(sentence)
    if waiting:
        raise typer.Exit(ExitCode.FAILED)
