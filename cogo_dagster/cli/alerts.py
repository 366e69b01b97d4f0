"""`cogo alerts`: what went wrong, who was told, and whether they can be."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from cogo_dagster.alerts.outage import is_away
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt
from cogo_dagster.alerts.service import delivered
from cogo_dagster.bootstrap import Application, alerts_without_database, open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import ExitCode, Report, command, group
from cogo_dagster.cli.options import Limit, Since, read_settings, seconds_of
from cogo_dagster.cli.tables import Column, Row, column, lists, print_table
from cogo_dagster.formatting.values import NOTHING, distance
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertRow, AlertTarget

app = group("Show alerts, deliver them, silence them, and test where they go.")


class AlertStatus(StrEnum):
    """Where an alert is in its life."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ANNOUNCED = "announced"


class DeliveryStatus(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SKIPPED = "skipped"


class TargetName(StrEnum):
    """Where messages go, as WEBHOOK_TYPE names it."""

    SLACK = "slack"
    GOOGLECHAT = "googlechat"
    GITHUB = "github"
    HTTP = "http"


_NO_TARGETS: Final = "WEBHOOK_TYPE is not set: alerts are recorded, and sent to nobody."
_Fingerprint = Annotated[str | None, typer.Option(help="Only of this cause.")]
_Kind = Annotated[
    str | None,
    typer.Option(help="job_failed, run_failed, gate_failed, worker_dead, provider_unreachable, schedule_missed …"),
]


def _state(alert: AlertRow) -> str:
    held = "silenced" if alert.silenced else "held back" if alert.inhibited else ""
    return f"{alert.status}, {held}" if held else alert.status


def _deliveries(alert: AlertRow) -> str:
    return ", ".join(f"{one.target} {one.status}" for one in alert.deliveries) or NOTHING


def _target_state(target: AlertTarget) -> str:
    return "disabled" if target.disabled else "healthy" if target.healthy else "failing"


def _error(error: Json | Unreadable) -> str:
    return f"{error['class']}: {error['message']}" if isinstance(error, dict) else str(error or NOTHING)


_ALERTS: Final = (
    column("fingerprint", whole=True),
    Column("status", _state, whole=True),
    column("count", whole=True),
    column("first", "first_seen_at", distance, whole=True),
    column("last", "last_seen_at", distance, whole=True),
    column("title"),
    Column("told", _deliveries),
    column("error", "error_message"),
)


@lists(app, _ALERTS, "No such alerts.", name="list")
def list_(
    application: Application,
    *,
    status: Annotated[AlertStatus | None, typer.Option(help="Only in this state.")] = None,
    kind: _Kind = None,
    fingerprint: _Fingerprint = None,
    since_seconds: Since = None,
    limit: Limit = 50,
) -> list[Row]:
    """Show alerts, those seen last first, with what each target was told."""
    return application.alerts.list_alerts(
        status=status, kind=kind, fingerprint=fingerprint, since_seconds=since_seconds, max_alerts=limit
    )


_DELIVERIES: Final = (
    column("alert", "alert_id", whole=True),
    column("target", whole=True),
    column("status", whole=True),
    column("event", whole=True),
    column("attempts", whole=True),
    column("told", "announced_at", distance, whole=True),
    column("next try", "next_attempt_at", distance, whole=True),
    column("title"),
    column("error", show=_error),
)


@lists(app, _DELIVERIES, "No such deliveries.")
def deliveries(
    application: Application,
    *,
    target: Annotated[TargetName | None, typer.Option(help="Only to this target.")] = None,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only in this state.")] = None,
    limit: Limit = 50,
) -> list[Row]:
    """Show what each target was told, is to be told, and could not be told."""
    return application.alerts.list_deliveries(target=target, status=status, max_deliveries=limit)


_HEALTH: Final = (
    column("target", whole=True),
    Column("state", _target_state, whole=True),
    column("delivered", whole=True),
    column("pending", whole=True),
    column("dead", whole=True),
    column("last success", "last_success_at", distance, whole=True),
    column("next try", "retry_at", distance, whole=True),
    column("last error", "last_error", _error),
)


@command(app)
def health(application: Application) -> Report:
    """Show how each target does."""
    answer = application.alerts.target_health()
    return Report(answer, lambda: print_table(answer.targets, _HEALTH, when_empty=_NO_TARGETS))


@command(app)
def deliver(
    max_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="End after so long.")
    ] = 45,
) -> Report:
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
    promoted = sum(report.promoted.values())
    lines = [f"{promoted} new failures; {report.delivered} messages delivered, {report.failed} not."]
    lines += [f"{one.target}: {one.receipt.sentence}" for one in report.attempts if one.receipt.sentence]
    if not settings.webhook_types:
        lines.append(_NO_TARGETS)
    return Report(report.to_json(), "\n".join(lines), ExitCode.FAILED if report.failed else ExitCode.OK)


@command(app)
def test(
    application: Application,
    target: Annotated[TargetName | None, typer.Argument(help="This one; all that are set up if left out.")] = None,
) -> Report:
    """Send a test message now, and say what became of it."""
    receipts = application.alerts.test(target)
    return Report(
        [_receipt_row(name, receipt) for name, receipt in receipts.items()],
        "\n".join(f"{name}: {receipt.sentence or 'delivered.'}" for name, receipt in receipts.items()),
        ExitCode.OK if delivered(receipts) else ExitCode.FAILED,
    )


@command(app)
def silence(
    application: Application,
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
) -> Report:
    """Tell nobody of certain alerts for a while; they are counted, and told afterwards if they still stand."""
    answer = application.alerts.silence(
        author=actor(),
        duration_seconds=duration_seconds,
        fingerprint=fingerprint,
        kind=kind,
        subject_prefix=subject_prefix,
        reason=reason,
    )
    sentence = f"Silenced until {answer.ends_at} ({answer.alerts} that fire now): {answer.silence_id}."
    return Report(answer, sentence)


@command(app)
def unsilence(
    application: Application,
    silence_id: Annotated[UUID, typer.Argument(help="As `cogo alerts silences` shows it.")],
) -> Report:
    """End a silence before its time."""
    answer = application.alerts.end_silence(silence_id, actor())
    return Report(
        answer, "The silence is over." if answer.changed else "There is no such silence, or it was over already."
    )


_SILENCES: Final = (
    column("id", whole=True),
    column("ends", "ends_at", distance, whole=True),
    column("fingerprint"),
    column("kind"),
    column("subject", "subject_prefix"),
    column("by", "author"),
    column("reason"),
)


@lists(app, _SILENCES, "Nothing is silenced.")
def silences(
    application: Application,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> list[Row]:
    """Show silences, who made them and until when."""
    return application.alerts.list_silences(active_only=not everything)


@command(app)
def replay(
    application: Application,
    target: Annotated[TargetName | None, typer.Argument(help="Only what did not reach this target.")] = None,
    alert_id: Annotated[UUID | None, typer.Option("--alert", help="Only of this alert.")] = None,
) -> Report:
    """Let dead deliveries be tried again, and enable targets that were switched off."""
    answer = application.alerts.replay(actor(), target=target, alert_id=alert_id)
    return Report(
        answer, f"{answer['changed']} dead deliveries will be tried again; `cogo alerts deliver` does it now."
    )


def _receipt_row(name: str, receipt: Receipt) -> dict[str, Any]:
    return {"target": name, "delivered": receipt.outcome is DeliveryOutcome.DELIVERED, "error": receipt.error()}


def _say_told(told: Mapping[str, Receipt]) -> None:
    for name, receipt in told.items():
        typer.echo(f"{name}: {receipt.sentence or 'told that the database cannot be reached.'}", err=True)
