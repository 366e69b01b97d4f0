"""Result of an attempt to deliver a message, and the interpretation of common responses."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from cogo_dagster.net.webhooks import Answer, PostFailed
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.retry_after import retry_after_seconds

_TRANSIENT: Final = frozenset({408, 425, 429})
_PERMANENT_FAILURES: Final = frozenset({"blocked_address", "invalid_url"})


class DeliveryOutcome(StrEnum):
    """Outcomes of `settle_alert_message`."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    GONE = "gone"  # as dead, and the target is disabled
    RELEASED = "released"  # not attempted


@dataclass(frozen=True, slots=True)
class Receipt:
    """Result of an attempt.

    Attributes:
        error_class: Short stable name for metrics: `http_404`, `timeout`, `no_active_hooks`.
        message: Reason and remedy, without addresses and secrets.
        retry_after_seconds: Delay that the target requested.
        reference: Identifier of the message at the target, such as an issue number.
    """

    outcome: DeliveryOutcome
    error_class: str | None = None
    message: str | None = None
    status: int | None = None
    retry_after_seconds: float | None = None
    reference: str | None = None

    @classmethod
    def delivered(cls, reference: str | None = None) -> Self:
        """Return the receipt of a delivered message."""
        return cls(DeliveryOutcome.DELIVERED, reference=reference)

    def error(self) -> dict[str, Json] | None:
        """Return the error document that is stored with the delivery."""
        if self.error_class is None:
            return None
        return {
            "class": self.error_class,
            "message": self.message,
            "status": self.status,
            "retryable": self.outcome is DeliveryOutcome.RETRY,
        }


def from_failure(failure: PostFailed) -> Receipt:
    """Convert a request without a response. It is retried, unless its address is invalid or not allowed."""
    outcome = DeliveryOutcome.DEAD if failure.kind in _PERMANENT_FAILURES else DeliveryOutcome.RETRY
    return Receipt(outcome, failure.kind, failure.sentence)


def from_status(response: Answer, name: str, variable: str) -> Receipt:
    """Interpret a response by its status.

    Args:
        response: Response of the target.
        name: Name of the target in messages: `Slack`.
        variable: The setting to check after an error.
    """
    status = response.status
    if 200 <= status < 300:
        return Receipt.delivered()
    if status in _TRANSIENT or status >= 500:
        message = f"{name} responded with {status}; retrying."
        return Receipt(DeliveryOutcome.RETRY, f"http_{status}", message, status, retry_after_seconds(response.headers))
    if 300 <= status < 400:
        message = (
            f"{name} responded with a redirect ({status}), which is not followed: set {variable} to the final URL."
        )
        return Receipt(DeliveryOutcome.DEAD, f"http_{status}", message, status)
    return Receipt(
        DeliveryOutcome.DEAD, f"http_{status}", f"{name} rejected the message with {status}: check {variable}.", status
    )
