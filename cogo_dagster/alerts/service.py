"""Alerts as the rims use them: announce, deliver, look, silence, replay, test."""

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
    """The service.

    Args:
        transport: The database.
        settings: The environment's.
        find_secret: The key vault.
    """

    def __init__(self, transport: Transport, settings: Settings, find_secret: FindSecret = no_secret) -> None:
        self._transport = transport
        self._settings = settings
        self._find_secret = find_secret
        self._secrets = settings.secret_values()

    def hide(self, text: str) -> str:
        """Return text as it may be told and stored: without secrets, any target's address among them."""
        return storable(redactor_of(self._secrets).text(text))

    def targets(self) -> tuple[Target, ...]:
        """Return where messages go.

        Raises:
            SettingsError: A variable of a chosen type is missing or wrong.
        """
        return build_targets(self._settings, no_secret if self._find_secret is no_secret else self._found)

    def _found(self, reference: str) -> str | None:
        """Look into the key vault; what is found there is hidden from then on, as an address of the settings is."""
        secret = self._find_secret(reference)
        if secret:
            self._secrets = tuple(dict.fromkeys((*self._secrets, secret, *secret_parts(secret))))
        return secret

    def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:
        """Tell every target, once per key; the next pass delivers it.

        Args:
            again: Tell those too that accepted it.

        Returns:
            `created` is False when a target accepted it before, or is still to be told; without a target nothing is
            written down, and the id is None.

        Raises:
            QueueError: The database is away, or the announcement is not acceptable.
            SettingsError: A target is not configured right.
        """
        answer = self._call(
            "announce",
            key=announcement.key,
            kind=announcement.kind,
            title=self.hide(announcement.title)[:300],
            body=announcement.body(self.hide),
            targets=self._deliverer().configured(),
            **({"again": True} if again else {}),
        )
        return Announced.model_validate(answer)

    def promote(self) -> Mapping[str, int]:
        """Turn what went wrong into alerts; deliver nothing.

        Raises:
            QueueError: The database is away.
            SettingsError: A target is not configured right.
        """
        return self._deliverer().promote()

    def deliver(self, max_seconds: float = 45) -> PassReport:
        """Do one pass: promote and deliver.

        Raises:
            QueueError: The database is away.
            SettingsError: A target is not configured right.
        """
        try:
            deliverer = self._deliverer()
        except SettingsError:
            Deliverer(self._transport, (), self._settings, self.hide).promote()  # recorded all the same
            raise
        return self._pass(deliverer, self.outage_watch(), max_seconds)

    def call_switch(self) -> bool:
        """Call COGO_DEADMAN_URL if the system works and it was not called within a minute.

        Raises:
            QueueError: The database is away.
            DeadManFailed: The address did not take the call.
        """
        return DeadManSwitch(self._transport, self._settings).call_if_due()

    def loop(self, say: Callable[[str], None]) -> AlertLoop:
        """Return passes again and again, for a process that lives long.

        Raises:
            SettingsError: A target is not configured right.
        """
        deliverer, watch = self._deliverer(), self.outage_watch()
        return AlertLoop(partial(self._pass, deliverer, watch), self.call_switch, watch, say)

    def outage_watch(self) -> OutageWatch:
        """Return what tells targets past the database.

        Raises:
            SettingsError: A target is not configured right.
        """
        return OutageWatch(self.targets(), self._settings, self.hide, platform.node() or "a machine without a name")

    def test(self, name: str | None = None) -> Mapping[str, Receipt]:
        """Send a test message straight to one target, or to all.

        Raises:
            SettingsError: It is not among WEBHOOK_TYPE, or not configured right.
        """
        targets = [target for target in self.targets() if name in (None, target.name)]
        if not targets:
            chosen = ", ".join(self._settings.webhook_types) or "none"
            raise SettingsError(
                f"WEBHOOK_TYPE names {chosen}: add {name} to it." if name else "WEBHOOK_TYPE is not set: name a target."
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
        """Return alerts, those seen last first.

        Args:
            status: firing, resolved or announced.
            since_seconds: Seen within the last so many seconds.
            before: `last_seen_at` and `id` of the last row of the page before.
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
        """Return what targets were told and are to be told, changed last first."""
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
        """Tell nobody of what fits, for a while.

        Raises:
            InvalidArgument: Nothing is named, or it would last too long.
        """
        answer = self._call(
            "silence_alerts",
            silence_id=str(new_request_id()),
            fingerprint=fingerprint,
            kind=kind,
            subject_prefix=subject_prefix,
            duration_seconds=duration_seconds,
            author=author,
            reason=self.hide(reason) if reason else None,
        )
        return NewSilence.model_validate(answer)

    def end_silence(self, silence_id: UUID, actor: str) -> EndedSilence:
        """End a silence before its time."""
        return EndedSilence.model_validate(self._call("end_alert_silence", silence_id=str(silence_id), actor=actor))

    def replay(self, actor: str, *, target: str | None = None, alert_id: UUID | None = None) -> Mapping[str, Json]:
        """Let dead deliveries be tried again; returns how many."""
        action_id, changed = str(new_request_id()), 0
        for batch in range(10_000):
            answer = self._call(
                "replay_alert_deliveries",
                target=target,
                alert_id=str(alert_id) if alert_id else None,
                action={"id": action_id, "batch": batch, "actor": actor},
            )
            done = ReplayedDeliveries.model_validate(answer)
            changed += done.changed
            if not done.more:
                break
        return {"matched": changed, "changed": changed, "dry_run": False}

    def target_health(self) -> AlertTargets:
        """Return how each target does that was used within a week."""
        return AlertTargets.model_validate(self._call("alert_target_health"))

    def record_run_failures(self, failures: Sequence[Mapping[str, Json]]) -> int:
        """Write down Dagster runs that failed, each once; returns how many are new."""
        shown = [
            {**one, "error_class": self._line(one["error_class"]), "error_message": self._line(one["error_message"])}
            for one in failures
        ]
        return int(self._call("record_run_failures", failures=shown)["recorded"])

    def record_run_successes(self, successes: Sequence[Mapping[str, Json]]) -> int:
        """Say what succeeded in Dagster; returns how many alerts are over."""
        return int(self._call("record_run_successes", successes=list(successes))["resolved"])

    def report_conditions(self, scope: str, conditions: Sequence[Mapping[str, Json]]) -> None:
        """Say all that is wrong at one place now; see the SQL function `report_conditions`."""
        shown = [{**one, "error_message": self._line(one["error_message"])} for one in conditions]
        self._call("report_conditions", scope=scope, conditions=shown)

    def watch_schedules(self, schedules: Sequence[Mapping[str, Json]]) -> None:
        """Say which schedules are on and when each is due."""
        shown = [{**one, "error": self._line(one["error"])} for one in schedules]
        self._call("watch_schedules", schedules=shown)

    def _line(self, text: str | None) -> str | None:
        return self.hide(text).strip().split("\n", 1)[0][:1000] if text else None

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
        watch.answers(self._transport)
        return report

    def _deliverer(self) -> Deliverer:
        return Deliverer(self._transport, self.targets(), self._settings, self.hide)

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
        body={"markdown": f"Sent from {platform.node()}: messages reach this place."},
    )
    return Message(message_id, target, Event.ANNOUNCEMENT, 1, (alert,))


def delivered(receipts: Mapping[str, Receipt]) -> bool:
    """Whether every target has it."""
    return all(receipt.outcome is DeliveryOutcome.DELIVERED for receipt in receipts.values())
