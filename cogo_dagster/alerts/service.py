"""The alert service, used by the command line, the dashboard and Dagster."""

import asyncio
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from cogo_dagster.alerts.config import FindSecret, build_targets, no_secret
from cogo_dagster.alerts.deadman import DeadManSwitch
from cogo_dagster.alerts.delivery import Deliverer, PassReport
from cogo_dagster.alerts.loop import AlertLoop
from cogo_dagster.alerts.messages import TEST_TEXT, Alert, Announcement, Event, Message
from cogo_dagster.alerts.outage import OutageWatch
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_failure
from cogo_dagster.alerts.target import Target
from cogo_dagster.net.webhooks import PostFailed, webhooks
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import (
    AlertRow,
    AlertTargets,
    Announced,
    DeliveryRow,
    EndedSilence,
    ForgottenTarget,
    NewSilence,
    ReplayedDeliveries,
    SilenceRow,
)
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.redaction import redactor_of
from cogo_dagster.settings import Settings, SettingsError, secret_parts
from cogo_dagster.text import storable


class Alerts:
    """Announces, delivers, lists, silences and replays alerts.

    Args:
        transport: Connection to the database.
        settings: The settings.
        find_secret: Lookup in the key vault.
    """

    def __init__(self, transport: Transport, settings: Settings, find_secret: FindSecret = no_secret) -> None:
        self._transport = transport
        self._settings = settings
        self._find_secret = find_secret
        self._secrets = settings.secret_values()

    def redact(self, text: str) -> str:
        """Redact secrets, including addresses of targets, and replace characters that PostgreSQL cannot store."""
        return storable(redactor_of(self._secrets).text(text))

    def targets(self) -> tuple[Target, ...]:
        """Return the targets in WEBHOOK_TYPE.

        Raises:
            SettingsError: A variable of a chosen target is missing or invalid.
        """
        return build_targets(self._settings, no_secret if self._find_secret is no_secret else self._find_and_redact)

    def _find_and_redact(self, reference: str) -> str | None:
        """Look up a secret in the key vault, and redact it from then on."""
        secret = self._find_secret(reference)
        if secret:
            self._secrets = tuple(dict.fromkeys((*self._secrets, secret, *secret_parts(secret))))
        return secret

    def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:
        """Create an announcement for all targets, once per key. The next pass delivers it.

        Args:
            again: Whether to send it again to targets that have received it.

        Returns:
            `created` is False if the announcement exists, delivered or pending. Without targets nothing is stored, and
            the ID is None.

        Raises:
            QueueError: The database is unreachable, or the announcement is invalid.
            SettingsError: A target is misconfigured.
        """
        result = self._call(
            "announce",
            key=announcement.key,
            kind=announcement.kind,
            title=self.redact(announcement.title)[:300],
            body=announcement.body(self.redact),
            targets=self._deliverer().configured(),
            **({"again": True} if again else {}),
        )
        return Announced.model_validate(result)

    def evaluate(self) -> Mapping[str, int]:
        """Raise alerts for new failures, without delivering them.

        Raises:
            QueueError: The database is unreachable.
            SettingsError: A target is misconfigured.
        """
        return self._deliverer().evaluate()

    def deliver(self, max_seconds: float = 45) -> PassReport:
        """Run one pass: raise alerts and deliver them.

        Raises:
            QueueError: The database is unreachable.
            SettingsError: A target is misconfigured; alerts are raised before that.
        """
        try:
            deliverer = self._deliverer()
        except SettingsError:
            Deliverer(self._transport, (), self._settings, self.redact).evaluate()
            raise
        return self._pass(deliverer, self.outage_watch(), max_seconds)

    def call_switch(self) -> bool:
        """Call COGO_DEADMAN_URL unless it was called within the last minute.

        Raises:
            QueueError: The database is unreachable.
            DeadManFailed: The call failed.
        """
        return DeadManSwitch(self._transport, self._settings).call_if_due()

    def loop(self, log: Callable[[str], None]) -> AlertLoop:
        """Return a loop of passes, for a long-running process.

        Raises:
            SettingsError: A target is misconfigured.
        """
        deliverer, watch = self._deliverer(), self.outage_watch()
        return AlertLoop(partial(self._pass, deliverer, watch), self.call_switch, watch, log)

    def outage_watch(self) -> OutageWatch:
        """Return the watch that reports an unreachable database.

        Raises:
            SettingsError: A target is misconfigured.
        """
        return OutageWatch(self.targets(), self._settings, self.redact, platform.node() or "an unnamed host")

    def test(self, name: str | None = None) -> Mapping[str, Receipt]:
        """Send a test message to one target or to all, without the outbox.

        Raises:
            SettingsError: The target is not in WEBHOOK_TYPE, or is misconfigured.
        """
        targets = [target for target in self.targets() if name in (None, target.name)]
        if not targets:
            chosen = ", ".join(self._settings.webhook_types) or "none"
            raise SettingsError(
                f"WEBHOOK_TYPE is {chosen}: add {name} to it."
                if name
                else "WEBHOOK_TYPE is not set: set it to one or more of github, slack, http, googlechat."
            )
        receipts = asyncio.run(self._test(targets))
        for target, receipt in receipts.items():
            self._call("record_alert_target", target=target, outcome=receipt.outcome.value, error=receipt.error())
        return receipts

    def list_alerts(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        fingerprint: str | None = None,
        since_seconds: float | None = None,
        before: Cursor | None = None,
        max_alerts: int = 50,
    ) -> list[AlertRow]:
        """Return alerts, last seen first.

        Args:
            status: firing, resolved or announced.
            since_seconds: Seen within the last N seconds.
            before: `last_seen_at` and `id` of the last row of the previous page.
        """
        rows = self._list(
            "list_alerts",
            status=status,
            kind=kind,
            fingerprint=fingerprint,
            since_seconds=since_seconds,
            before=before and dict(before),
            max_alerts=max_alerts,
        )
        return read_list(AlertRow, rows)

    def list_deliveries(
        self,
        *,
        alert_id: UUID | None = None,
        target: str | None = None,
        status: str | None = None,
        max_deliveries: int = 50,
    ) -> list[DeliveryRow]:
        """Return deliveries, last changed first."""
        rows = self._list(
            "list_alert_deliveries",
            alert_id=alert_id and str(alert_id),
            target=target,
            status=status,
            max_deliveries=max_deliveries,
        )
        return read_list(DeliveryRow, rows)

    def list_silences(self, *, active_only: bool = True) -> list[SilenceRow]:
        """Return silences, those that end last first."""
        return read_list(SilenceRow, self._call("list_alert_silences", active_only=active_only))

    def silence(
        self,
        *,
        author: str,
        duration_seconds: float,
        fingerprint: str | None = None,
        kind: str | None = None,
        subject_prefix: str | None = None,
        reason: str | None = None,
    ) -> NewSilence:
        """Stop deliveries of matching alerts for a time.

        Raises:
            InvalidArgument: No criterion is given, or the duration is too long.
        """
        result = self._call(
            "silence_alerts",
            silence_id=str(new_request_id()),
            fingerprint=fingerprint,
            kind=kind,
            subject_prefix=subject_prefix,
            duration_seconds=duration_seconds,
            author=author,
            reason=self.redact(reason) if reason else None,
        )
        return NewSilence.model_validate(result)

    def end_silence(self, silence_id: UUID, actor: str) -> EndedSilence:
        """End a silence early."""
        return EndedSilence.model_validate(self._call("end_alert_silence", silence_id=str(silence_id), actor=actor))

    def replay(self, actor: str, *, target: str | None = None, alert_id: UUID | None = None) -> Mapping[str, Json]:
        """Make dead deliveries pending again; return their number."""
        action_id, changed = str(new_request_id()), 0
        for batch in range(10_000):
            result = self._call(
                "replay_alert_deliveries",
                target=target,
                alert_id=str(alert_id) if alert_id else None,
                action={"id": action_id, "batch": batch, "actor": actor},
            )
            done = ReplayedDeliveries.model_validate(result)
            changed += done.changed
            if not done.more:
                break
        return {"matched": changed, "changed": changed, "dry_run": False}

    def target_health(self) -> AlertTargets:
        """Return the health of the targets that were used in the last week."""
        return AlertTargets.model_validate(self._call("alert_target_health"))

    def forget_target(self, target: str, actor: str) -> ForgottenTarget:
        """Forget a target that is no longer configured, and skip its pending deliveries."""
        return ForgottenTarget.model_validate(self._call("forget_alert_target", target=target, actor=actor))

    def record_run_failures(self, failures: Sequence[Mapping[str, Json]]) -> int:
        """Record failed Dagster runs, each once; return the number of new ones."""
        redacted = [
            failure | {name: self._line(failure[name]) for name in ("error_class", "error_message")}
            for failure in map(dict, failures)
        ]
        return int(self._call("record_run_failures", failures=redacted)["recorded"])

    def record_run_successes(self, successes: Sequence[Mapping[str, Json]]) -> int:
        """Record successful Dagster runs; return the number of alerts that they resolved."""
        return int(self._call("record_run_successes", successes=list(successes))["resolved"])

    def report_conditions(self, scope: str, conditions: Sequence[Mapping[str, Json]]) -> None:
        """Report all conditions that hold in a scope now; see the SQL function `report_conditions`."""
        redacted = [{**row, "error_message": self._line(row["error_message"])} for row in conditions]
        self._call("report_conditions", scope=scope, conditions=redacted)

    def watch_schedules(self, schedules: Sequence[Mapping[str, Json]]) -> None:
        """Report the running schedules, and when each is due."""
        redacted = [{**row, "error": self._line(row["error"])} for row in schedules]
        self._call("watch_schedules", schedules=redacted)

    def _line(self, text: str | None) -> str | None:
        return self.redact(text).strip().split("\n", 1)[0][:1000] if text else None

    async def _test(self, targets: Sequence[Target]) -> dict[str, Receipt]:
        receipts: dict[str, Receipt] = {}
        async with webhooks(self._settings.webhook_allowed_hosts) as sender:
            for target in targets:
                try:
                    receipts[target.name] = await target.send(_test_message(target.name), sender)
                except PostFailed as failure:
                    receipts[target.name] = from_failure(failure)
        return receipts

    def _pass(self, deliverer: Deliverer, watch: OutageWatch, max_seconds: float) -> PassReport:
        report = deliverer.run(max_seconds)
        watch.database_up(self._transport)
        return report

    def _deliverer(self) -> Deliverer:
        return Deliverer(self._transport, self.targets(), self._settings, self.redact)

    def _call(self, function: str, **arguments: Json) -> Json:
        return self._transport.call(function, arguments)

    def _list(self, function: str, **filters: Json) -> Json:
        return self._call(function, **{name: value for name, value in filters.items() if value is not None})


def _test_message(target: str) -> Message:
    now = datetime.now(UTC)
    message_id = uuid4()
    alert = Alert(
        id=str(message_id),
        fingerprint="cogo-webhook-test",
        kind="test",
        subject=target,
        title=TEST_TEXT,
        error_class=None,
        error_message=None,
        count=1,
        new_count=1,
        first_seen_at=now,
        last_seen_at=now,
        resolved_at=None,
        resolution=None,
        announced_at=None,
        refs={},
        body={"markdown": f"Sent from {platform.node()}: this target receives messages."},
    )
    return Message(message_id, target, Event.ANNOUNCEMENT, 1, (alert,))


def delivered(receipts: Mapping[str, Receipt]) -> bool:
    """Whether all targets received the message."""
    return all(receipt.outcome is DeliveryOutcome.DELIVERED for receipt in receipts.values())
