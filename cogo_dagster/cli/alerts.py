"""`cogo alerts`: what went wrong, who was told, and whether they can be."""

from typing import Annotated, Any, Final
from uuid import UUID

import typer

from cogo_dagster.alerts.outage import is_away
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt
from cogo_dagster.alerts.service import delivered
from cogo_dagster.bootstrap import alerts_without_database, open_application
from cogo_dagster.cli.alerts_columns import ALERTS, DELIVERIES, HEALTH, SILENCES
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import Limit, Since, read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import print_table
from cogo_dagster.cli.words import seconds_of
from cogo_dagster.queue.errors import QueueError

app = group("Show alerts, deliver them, silence them, and test where they go.")

_NO_TARGETS: Final = "WEBHOOK_TYPE is not set: alerts are recorded, and sent to nobody."
_Fingerprint = Annotated[str | None, typer.Option(help="Only of this cause.")]
_Kind = Annotated[
    str | None,
    typer.Option(help="job_failed, run_failed, gate_failed, worker_dead, provider_unreachable, schedule_missed …"),
]


@app.command("list")
def list_(
    *,
    status: Annotated[str | None, typer.Option(help="firing, resolved or announced.")] = None,
    kind: _Kind = None,
    fingerprint: _Fingerprint = None,
    since_seconds: Since = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show alerts, those seen last first, with what each target was told."""
    with open_application(read_settings()) as application:
        rows = application.alerts.list_alerts(
            status=status, kind=kind, fingerprint=fingerprint, since_seconds=since_seconds, max_alerts=limit
        )
    print_json(rows) if as_json else print_table(rows, ALERTS, when_empty="No such alerts.")


@app.command()
def deliveries(
    *,
    target: Annotated[str | None, typer.Option(help="Only to this target.")] = None,
    status: Annotated[str | None, typer.Option(help="pending, delivered, dead or skipped.")] = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show what each target was told, is to be told, and could not be told."""
    with open_application(read_settings()) as application:
        rows = application.alerts.list_deliveries(target=target, status=status, max_deliveries=limit)
    print_json(rows) if as_json else print_table(rows, DELIVERIES, when_empty="No such deliveries.")


@app.command()
def health(as_json: JsonFlag = False) -> None:
    """Show how each target does."""
    with open_application(read_settings()) as application:
        answer = application.alerts.target_health()
    if as_json:
        print_json(answer)
    else:
        print_table(answer["targets"], HEALTH, when_empty=_NO_TARGETS)


@app.command()
def deliver(
    max_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="End after so long.")
    ] = 45,
    as_json: JsonFlag = False,
) -> None:
    """Turn what went wrong into alerts and deliver what is due, once; exits with 1 if a message did not arrive."""
    settings = read_settings()
    try:
        with open_application(settings) as application:
            report = application.alerts.deliver(max_seconds)
    except QueueError as error:
        if is_away(error):
            told = alerts_without_database(settings).outage_watch().away(error, grace_seconds=0)
            _say_told(told)
        raise
    if as_json:
        print_json(report.to_json())
    else:
        promoted = sum(report.promoted.values())
        typer.echo(f"{promoted} new failures; {report.delivered} messages delivered, {report.failed} not.")
        for attempt in report.attempts:
            if attempt.receipt.sentence:
                typer.echo(f"{attempt.target}: {attempt.receipt.sentence}")
        if not settings.webhook_types:
            typer.echo(_NO_TARGETS)
    if report.failed:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def test(
    target: Annotated[
        str | None, typer.Argument(help="slack, googlechat, github or http; all that are set up.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a test message now, and say what became of it."""
    with open_application(read_settings()) as application:
        receipts = application.alerts.test(target)
    if as_json:
        print_json([_receipt_row(name, receipt) for name, receipt in receipts.items()])
    else:
        for name, receipt in receipts.items():
            typer.echo(f"{name}: {receipt.sentence or 'delivered.'}")
    if not delivered(receipts):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def silence(
    *,
    duration_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="Until then: 2h, 1d; 30 days at most.")
    ],
    fingerprint: _Fingerprint = None,
    kind: _Kind = None,
    subject_prefix: Annotated[
        str | None, typer.Option("--subject", help="Only about what begins so: a type of job, a worker, a branch.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever wonders.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell nobody of certain alerts for a while; they are counted, and told afterwards if they still stand."""
    with open_application(read_settings()) as application:
        answer = application.alerts.silence(
            author=actor(),
            duration_seconds=duration_seconds,
            fingerprint=fingerprint,
            kind=kind,
            subject_prefix=subject_prefix,
            reason=reason,
        )
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"Silenced until {answer['ends_at']} ({answer['alerts']} that fire now): {answer['silence_id']}.")


@app.command()
def unsilence(
    silence_id: Annotated[UUID, typer.Argument(help="As `cogo alerts silences` shows it.")], as_json: JsonFlag = False
) -> None:
    """End a silence before its time."""
    with open_application(read_settings()) as application:
        answer = application.alerts.end_silence(silence_id, actor())
    if as_json:
        print_json(answer)
    else:
        typer.echo("The silence is over." if answer["changed"] else "There is no such silence, or it was over already.")


@app.command()
def silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show silences, who made them and until when."""
    with open_application(read_settings()) as application:
        rows = application.alerts.list_silences(active_only=not everything)
    print_json(rows) if as_json else print_table(rows, SILENCES, when_empty="Nothing is silenced.")


@app.command()
def replay(
    target: Annotated[str | None, typer.Argument(help="Only what did not reach this target.")] = None,
    alert_id: Annotated[UUID | None, typer.Option("--alert", help="Only of this alert.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Let dead deliveries be tried again, and enable targets that were switched off."""
    with open_application(read_settings()) as application:
        answer = application.alerts.replay(actor(), target=target, alert_id=alert_id)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['changed']} dead deliveries will be tried again; `cogo alerts deliver` does it now.")


def _receipt_row(name: str, receipt: Receipt) -> dict[str, Any]:
    return {"target": name, "delivered": receipt.outcome is DeliveryOutcome.DELIVERED, "error": receipt.error()}


def _say_told(told: Any) -> None:
    for name, receipt in told.items():
        typer.echo(f"{name}: {receipt.sentence or 'told that the database cannot be reached.'}", err=True)
