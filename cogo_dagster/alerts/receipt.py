"""What became of one try to deliver a message, and how the usual answers are read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from cogo_dagster.net.webhooks import Answer, PostFailed
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.retry_after import retry_after_seconds

_TRANSIENT: Final = frozenset({408, 425, 429})
_PERMANENT_FAILURES: Final = frozenset({"blocked_address", "invalid_url"})


class DeliveryOutcome(StrEnum):
    """As `settle_alert_message` takes it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    GONE = "gone"  # dead, and the target is disabled
    RELEASED = "released"  # not tried


@dataclass(frozen=True, slots=True)
class Receipt:
    """The end of one try.

    Attributes:
        error_class: Short stable name, counted in metrics: `http_404`, `timeout`, `no_active_hooks`.
        sentence: Why, and what to do; no address and no secret.
        retry_after_seconds: What the target asked for.
        reference: What the target calls the message (an issue's number).
    """

    outcome: DeliveryOutcome
    error_class: str | None = None
    sentence: str | None = None
    status: int | None = None
    retry_after_seconds: float | None = None
    reference: str | None = None

    @classmethod
    def delivered(cls, reference: str | None = None) -> Self:
        """The target has it."""
        return cls(DeliveryOutcome.DELIVERED, reference=reference)

    def error(self) -> dict[str, Json] | None:
        """Return the document that is stored with the delivery."""
        if self.error_class is None:
            return None
        return {
            "class": self.error_class,
            "message": self.sentence,
            "status": self.status,
            "retryable": self.outcome is DeliveryOutcome.RETRY,
        }


def from_failure(failure: PostFailed) -> Receipt:
    """Read a request that got no answer: again later, unless its address can never be reached."""
    outcome = DeliveryOutcome.DEAD if failure.kind in _PERMANENT_FAILURES else DeliveryOutcome.RETRY
    return Receipt(outcome, failure.kind, failure.sentence)


def from_status(answer: Answer, what: str, variable: str) -> Receipt:
    """Read an answer by its status alone.

    Args:
        answer: What the target said.
        what: The target in a sentence: `Slack`.
        variable: The setting to look at when it refuses.
    """
    status = answer.status
    if 200 <= status < 300:
        return Receipt.delivered()
    if status in _TRANSIENT or status >= 500:
        sentence = f"{what} answered {status}: it is tried again."
        return Receipt(DeliveryOutcome.RETRY, f"http_{status}", sentence, status, retry_after_seconds(answer.headers))
    if 300 <= status < 400:
        sentence = (
            f"{what} answered with a redirect ({status}), which is not followed: give {variable} the final address."
        )
        return Receipt(DeliveryOutcome.DEAD, f"http_{status}", sentence, status)
    return Receipt(
        DeliveryOutcome.DEAD, f"http_{status}", f"{what} refused the message with {status}: look at {variable}.", status
    )
