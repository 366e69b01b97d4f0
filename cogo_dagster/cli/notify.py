"""`cogo notify`: tell people something through every target."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.gate_source import Source, SourceOption, metrics_api
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.weekly import AgainFlag
from cogo_dagster.quality.weeks import finished_week
from cogo_dagster.settings import SettingsError

app = group("Tell people something through every target of WEBHOOK_TYPE.")


@app.command()
def weekly(
    *,
    week: Annotated[str | None, typer.Option(help="As 2026-W47; the last whole week if left out.")] = None,
    source: SourceOption = Source.API,
    again: AgainFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Send the weekly summary, once per week: a second call sends it only where no target accepted it."""
    settings = read_settings()
    if not settings.webhook_types:
        raise SettingsError("WEBHOOK_TYPE is not set: name at least one of github, slack, http, googlechat.")
    chosen = week and finished_week(week, datetime.now(UTC))
    told = metrics_api(settings).weekly(chosen) if source is Source.API else None
    with open_application(settings) as application:
        chart = None
        if told is None:
            told, chart = application.gates.publish_week(chosen or application.gates.last_week())
        answer = application.announce_week(told, chart=chart, again=again)
        report = application.alerts.deliver()
        waiting = [
            row["target"]
            for row in application.alerts.list_deliveries(alert_id=answer["alert_id"])
            if row["status"] != "delivered"
        ]
    errors = [f"{one.target}: {one.receipt.sentence}" for one in report.attempts if one.receipt.sentence]
    if as_json:
        print_json({"key": f"weekly:{told.week}", **answer, "undelivered": waiting, "errors": errors})
    else:
        said = "is announced to" if answer["created"] else "was announced before (`--again` sends it once more) to"
        typer.echo(f"The week {told.week} {said} {', '.join(answer['targets'])}.")
        for sentence in errors:
            typer.echo(sentence)
    if waiting:
        raise typer.Exit(ExitCode.FAILED)
