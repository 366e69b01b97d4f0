"""Alerts, their deliveries, silences and targets."""

from uuid import UUID

from pydantic import Field

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Document, MaybeDocument, MaybeNumber, MaybeTime, Time, Value


class Delivery(Row):
    """The state of the deliveries of an alert to a target."""

    target: str
    status: str
    event: str | None
    attempts: int
    announced_at: MaybeTime
    next_attempt_at: MaybeTime
    error: Value
    announced_event: str | None = Field(exclude=True)


class AlertRow(Row):
    """An alert or announcement."""

    id: UUID
    fingerprint: str
    kind: str
    subject: str
    status: str
    title: str
    error_class: str | None
    error_message: str | None
    count: int
    first_seen_at: Time
    last_seen_at: Time
    resolved_at: MaybeTime
    resolution: str | None
    refs: Document
    silenced: bool
    inhibited: bool
    retrying: bool = Field(description="Whether its jobs are being retried or replayed, and none is open.")
    deliveries: list[Delivery]
    key: str | None = Field(exclude=True)
    body: MaybeDocument = Field(exclude=True)


class DeliveryRow(Row):
    """A delivery of an alert to a target, in a list.

    Attributes:
        next_attempt_at: None unless it is pending.
        message_id: The message that it is part of.
        reference: The target's ID of the message.
    """

    alert_id: UUID
    fingerprint: str
    title: str
    target: str
    status: str
    event: str | None
    attempts: int
    first_attempt_at: MaybeTime
    next_attempt_at: MaybeTime
    announced_event: str | None
    announced_count: int
    announced_at: MaybeTime
    message_id: UUID | None
    reference: str | None
    error: Value
    updated_at: Time


class SilenceRow(Row):
    """A silence of alerts, which must match all given fields."""

    id: UUID
    fingerprint: str | None
    kind: str | None
    subject_prefix: str | None
    author: str
    reason: str | None
    created_at: Time
    ends_at: Time
    active: bool


class ForgottenTarget(Row):
    """The result of forgetting a target; `changed` is False if there is no such target."""

    target: str
    changed: bool
    skipped: int


class NewSilence(Row):
    """A created silence; `alerts` counts the firing alerts that it matches."""

    silence_id: UUID
    ends_at: Time
    alerts: int


class EndedSilence(Row):
    """The result of ending a silence; `changed` is False if it had ended or did not exist."""

    silence_id: UUID
    changed: bool


class AlertTarget(Row):
    """The state of a target."""

    target: str
    removed: bool = Field(description="Whether no process has had it configured for 15 minutes.")
    healthy: bool
    disabled: bool
    consecutive_failures: int
    retry_at: MaybeTime
    last_success_at: MaybeTime
    last_failure_at: MaybeTime
    last_error: Value
    pending: int
    oldest_pending_seconds: MaybeNumber
    dead: int
    unsent: int = Field(description="Messages that were not sent, because the target is removed.")
    delivered: int
    failed: Value = Field(exclude=True)


class AlertTargets(Row):
    """The state of all targets."""

    targets: list[AlertTarget]
    firing: int
    undelivered: int = Field(description="Deliveries that are due.")
    promoted_seconds_ago: MaybeNumber = Field(description="Seconds since failures were last evaluated.")


class Announced(Row):
    """The result of an announcement.

    Attributes:
        alert_id: None if there is no target.
        created: Whether deliveries are planned because of this call.
    """

    alert_id: UUID | None
    created: bool
    targets: list[str]


class ClaimedAlert(Row):
    """An alert of a message.

    Attributes:
        new_count: Occurrences since the target was last notified.
        announced_at: When the target was last notified.
    """

    id: UUID
    fingerprint: str
    kind: str
    subject: str
    status: str
    title: str
    error_class: str | None
    error_message: str | None
    count: int
    new_count: int
    first_seen_at: Time
    last_seen_at: Time
    resolved_at: MaybeTime
    resolution: str | None
    announced_at: MaybeTime
    key: str | None
    refs: dict[str, Json]
    body: Json


class ClaimedMessage(Row):
    """A message that the deliverer may send until its claim expires."""

    message_id: UUID
    target: str
    event: str
    attempt: int
    first_attempt_at: MaybeTime
    alerts: list[ClaimedAlert]


class MessageClaim(Row):
    """The result of a claim of a target's next message.

    Attributes:
        wait_seconds: Time until the target may be tried again.
    """

    message: ClaimedMessage | None
    wait_seconds: float | None
    disabled: bool
    pending: int


class AlertEvaluation(Row):
    """Result of an evaluation.

    Attributes:
        busy: Whether another evaluation is running.
        raised: Number of failures that raised an alert, by source.
        planned: Number of deliveries that were planned.
        more: Whether failures are left to evaluate.
    """

    busy: bool
    raised: dict[str, int] = Field(alias="promoted")
    planned: int
    more: bool


class ReplayedDeliveries(Row):
    """The result of one batch of replayed deliveries."""

    matched: int
    changed: int
    skipped: int
    more: bool


class DeadmanClaim(Row):
    """Whether the caller must call the dead man's switch now.

    Attributes:
        working: Whether the system works; if not, `reason` has the cause.
    """

    claimed: bool
    working: bool
    reason: str | None
