"""`cogo alerts`: show, deliver, silence and replay alerts, and check their targets."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from cogo_dagster.alerts.outage import is_unreachable
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt
from cogo_dagster.alerts.service import delivered
from cogo_dagster.bootstrap import Application, alerts_without_database
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import BadInput, ExitCode, Report, command, group
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import Limit, Since, part_of_id, read_settings, seconds_of
from cogo_dagster.cli.tables import Column, Row, column, lists, print_table
from cogo_dagster.formatting.values import NOTHING, counted, distance
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertRow, AlertTarget

app = group("Show, deliver and silence alerts, and test the targets.")


class AlertStatus(StrEnum):
    """Status of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ANNOUNCED = "announced"


class DeliveryStatus(StrEnum):
    """Status of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SKIPPED = "skipped"


class TargetName(StrEnum):
    """A value of WEBHOOK_TYPE."""

    SLACK = "slack"
    GOOGLECHAT = "googlechat"
    GITHUB = "github"
    HTTP = "http"


_NO_TARGETS: Final = "WEBHOOK_TYPE is not set: alerts are recorded but not delivered."
_Fingerprint = Annotated[str | None, typer.Option(help="Only alerts with this fingerprint.")]
_Kind = Annotated[
    str | None,
    typer.Option(
        help="Kind: job_failed, run_failed, gate_failed, worker_dead, provider_unreachable, schedule_missed …"
    ),
]


def _state(alert: AlertRow) -> str:
    marks = {"silenced": alert.silenced, "inhibited": alert.inhibited, "retrying": alert.retrying}
    return ", ".join([alert.status, *(name for name, holds in marks.items() if holds)])


def _deliveries(alert: AlertRow) -> str:
    return ", ".join(f"{delivery.target} {delivery.status}" for delivery in alert.deliveries) or NOTHING


def _target_state(target: AlertTarget) -> str:
    if target.removed:
        return "not configured"
    return "disabled" if target.disabled else "healthy" if target.healthy else "failing"


def _error(error: Json | Unreadable) -> str:
    return f"{error['class']}: {error['message']}" if isinstance(error, dict) else str(error or NOTHING)


_ALERTS: Final = (
    column("fingerprint", whole=True),
    Column("status", _state, whole=True, is_status=True),
    column("count", whole=True),
    column("first", "first_seen_at", distance, whole=True, min_width=120),
    column("last", "last_seen_at", distance, whole=True),
    column("title"),
    Column("deliveries", _deliveries, min_width=110),
    column("error", "error_message", min_width=110),
)


@lists(app, _ALERTS, "No matching alerts.", name="list")
def list_(
    application: Application,
    *,
    status: Annotated[AlertStatus | None, typer.Option(help="Only this status.")] = None,
    kind: _Kind = None,
    fingerprint: _Fingerprint = None,
    since_seconds: Since = None,
    limit: Limit = 50,
) -> list[Row]:
    """Show alerts and their deliveries, most recently seen first."""
    return application.alerts.list_alerts(
        status=status, kind=kind, fingerprint=fingerprint, since_seconds=since_seconds, max_alerts=limit
    )


_DELIVERIES: Final = (
    column("alert", "alert_id", whole=True, is_id=True),
    column("target", whole=True),
    column("status", whole=True, is_status=True),
    column("event", whole=True),
    column("attempts", whole=True, min_width=110),
    column("sent", "announced_at", distance, whole=True),
    column("next attempt", "next_attempt_at", distance, whole=True, min_width=110),
    column("title"),
    column("error", show=_error),
)


@lists(app, _DELIVERIES, "No matching deliveries.")
def deliveries(
    application: Application,
    *,
    target: Annotated[TargetName | None, typer.Option(help="Only this target.")] = None,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only this status.")] = None,
    limit: Limit = 50,
) -> list[Row]:
    """Show deliveries: pending, delivered, dead and skipped."""
    return application.alerts.list_deliveries(target=target, status=status, max_deliveries=limit)


_HEALTH: Final = (
    column("target", whole=True),
    Column("state", _target_state, whole=True),
    column("delivered", whole=True),
    column("pending", whole=True),
    column("dead", whole=True),
    column("last success", "last_success_at", distance, whole=True),
    column("next attempt", "retry_at", distance, whole=True),
    column("last error", "last_error", _error),
)


@command(app)
def health(application: Application) -> Report:
    """Show the health of each target."""
    result = application.alerts.target_health()
    return Report(result, lambda: print_table(result.targets, _HEALTH, when_empty=_NO_TARGETS))


@command(app)
def deliver(
    max_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="Stop after this time.")
    ] = 45,
) -> Report:
    """Raise alerts for new failures and deliver due messages once; exit with 1 if a delivery failed."""
    settings = read_settings()
    try:
        with opened(settings) as application:
            report = application.alerts.deliver(max_seconds)
    except QueueError as error:
        if is_unreachable(error):
            receipts = alerts_without_database(settings).outage_watch().database_down(error, grace_seconds=0)
            _print_receipts(receipts)
        raise
    raised, sent = counted(sum(report.raised.values()), "new failure"), counted(report.delivered, "message")
    lines = [f"{raised}; {sent} delivered, {report.failed} failed."]
    lines += [f"{attempt.target}: {attempt.receipt.message}" for attempt in report.attempts if attempt.receipt.message]
    if not settings.webhook_types:
        lines.append(_NO_TARGETS)
    return Report(report.to_json(), "\n".join(lines), ExitCode.FAILED if report.failed else ExitCode.OK)


@command(app)
def test(
    application: Application,
    target: Annotated[TargetName | None, typer.Argument(help="Target to test; all by default.")] = None,
) -> Report:
    """Send a test message to each target and report whether it was delivered."""
    receipts = application.alerts.test(target)
    return Report(
        [_receipt_row(name, receipt) for name, receipt in receipts.items()],
        "\n".join(f"{name}: {receipt.message or 'delivered.'}" for name, receipt in receipts.items()),
        ExitCode.OK if delivered(receipts) else ExitCode.FAILED,
    )


@command(app)
def silence(
    application: Application,
    *,
    duration_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="Duration: 2h, 1d …; at most 30 days.")
    ],
    fingerprint: _Fingerprint = None,
    kind: _Kind = None,
    subject_prefix: Annotated[
        str | None, typer.Option("--subject", help="Only subjects with this prefix: a job type, a worker, a branch.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Reason, shown in `cogo alerts silences`.")] = None,
) -> Report:
    """Stop deliveries of matching alerts for a time; alerts that still fire at its end are delivered then."""
    result = application.alerts.silence(
        author=actor(),
        duration_seconds=duration_seconds,
        fingerprint=fingerprint,
        kind=kind,
        subject_prefix=subject_prefix,
        reason=reason,
    )
    message = f"Silence {result.silence_id} created until {result.ends_at}; matching firing alerts: {result.alerts}."
    if not result.alerts:
        message += f"\nIf the subject is misspelt, end it with `cogo alerts unsilence {result.silence_id}`."
    return Report(result, message)


@command(app)
def unsilence(
    application: Application,
    silence_id: Annotated[
        str,
        typer.Argument(
            parser=part_of_id,
            metavar="SILENCE_ID",
            help="ID of the silence, from `cogo alerts silences`; 8 first or last digits suffice.",
        ),
    ],
) -> Report:
    """End a silence early."""
    result = application.alerts.end_silence(application.queue.find_any("silence", silence_id), actor())
    return Report(
        result, "Silence ended." if result.changed else "No active silence has this ID: see `cogo alerts silences`."
    )


_SILENCES: Final = (
    column("id", whole=True, is_id=True),
    column("ends", "ends_at", distance, whole=True),
    column("fingerprint"),
    column("kind"),
    column("subject", "subject_prefix"),
    column("by", "author"),
    column("reason"),
)


@lists(app, _SILENCES, "No active silences.")
def silences(
    application: Application,
    everything: Annotated[bool, typer.Option("--all", help="Include ended silences.")] = False,
) -> list[Row]:
    """Show silences with their author and end."""
    return application.alerts.list_silences(active_only=not everything)


@command(app)
def replay(
    application: Application,
    target: Annotated[TargetName | None, typer.Argument(help="Only deliveries to this target.")] = None,
    alert_id: Annotated[
        str | None,
        typer.Option("--alert", parser=part_of_id, metavar="ALERT_ID", help="Only deliveries of this alert."),
    ] = None,
) -> Report:
    """Schedule dead deliveries again, and enable targets that were disabled."""
    found_id = application.queue.find_any("alert", alert_id) if alert_id else None
    result = application.alerts.replay(actor(), target=target, alert_id=found_id)
    return Report(result, f"Dead deliveries rescheduled: {result['changed']}. `cogo alerts deliver` sends them now.")


@command(app)
def forget(
    application: Application,
    target: Annotated[TargetName, typer.Argument(help="A target that is no longer in WEBHOOK_TYPE.")],
) -> Report:
    """Forget a target that is no longer configured; its pending messages are not sent."""
    if target in application.settings.webhook_types:
        raise BadInput(f"{target} is in WEBHOOK_TYPE: remove it there first.")
    result = application.alerts.forget_target(target, actor())
    if result.changed:
        return Report(result, f"Forgot {target}; messages that are not sent: {result.skipped}.")
    return Report(result, f"There is no target {target}: see `cogo alerts health`.")


def _receipt_row(name: str, receipt: Receipt) -> dict[str, Any]:
    return {"target": name, "delivered": receipt.outcome is DeliveryOutcome.DELIVERED, "error": receipt.error()}


def _print_receipts(receipts: Mapping[str, Receipt]) -> None:
    for name, receipt in receipts.items():
        typer.echo(f"{name}: {receipt.message or 'notified that the database is unreachable.'}", err=True)
