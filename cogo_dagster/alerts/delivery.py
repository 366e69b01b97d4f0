"""A delivery pass: raise alerts for failures, then send due messages to each target. Passes may run concurrently.

A message is claimed, sent and settled. If the process dies in between, the claim expires and the message is sent again
with the same ID: delivery is at least once, and a receiver can deduplicate by ID.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

from cogo_dagster.alerts.messages import Message
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt, from_failure
from cogo_dagster.alerts.target import Target
from cogo_dagster.net.webhooks import PostFailed, Webhooks, webhooks
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.rows.alerts import AlertEvaluation, MessageClaim
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings, SettingsError

_LEASE_SECONDS: Final = 90
_SEND_SECONDS: Final = 15.0
_BEGIN_SECONDS: Final = 5.0
_MAX_EVALUATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """A message that was sent, or tried, in a pass."""

    target: str
    event: str
    alerts: int
    receipt: Receipt


@dataclass(slots=True)
class PassReport:
    """Result of a pass.

    Attributes:
        raised: Number of failures that raised an alert, by source.
        attempts: The messages that were tried, in order.
        waiting: Seconds until the next attempt, by target.
        disabled: Targets that are disabled.
    """

    raised: dict[str, int] = field(default_factory=dict)
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)
    disabled: list[str] = field(default_factory=list)

    @property
    def delivered(self) -> int:
        """Number of delivered messages."""
        return sum(attempt.receipt.outcome is DeliveryOutcome.DELIVERED for attempt in self.attempts)

    @property
    def failed(self) -> int:
        """Number of messages that were not delivered."""
        return len(self.attempts) - self.delivered

    def to_json(self) -> dict[str, Json]:
        """Return the pass as the JSON document that commands print."""
        return {
            "promoted": self.raised,
            "delivered": self.delivered,
            "failed": self.failed,
            "attempts": [
                {
                    "target": attempt.target,
                    "event": attempt.event,
                    "alerts": attempt.alerts,
                    "outcome": attempt.receipt.outcome.value,
                }
                | ({"error": attempt.receipt.error()} if attempt.receipt.error_class else {})
                for attempt in self.attempts
            ],
            "waiting_seconds": self.waiting,
            "disabled": self.disabled,
        }


class Deliverer:
    """Runs delivery passes for the configured targets.

    Args:
        transport: Connection to the database.
        targets: Where messages are sent; without targets, a pass only raises alerts.
        settings: For allowed hosts and the interval of repeats.
        redact: Redacts secrets in a text before it is rendered.
    """

    def __init__(
        self, transport: Transport, targets: Sequence[Target], settings: Settings, redact: Callable[[str], str]
    ) -> None:
        self._transport = transport
        self._rates = RateLimits(transport)
        self._targets = targets
        self._settings = settings
        self._redact = redact

    def configured(self) -> list[dict[str, str | None]]:
        """Return the targets as arguments of SQL functions; without a digest if the address cannot be determined."""
        return [{"target": target.name, "address_digest": _digest(target)} for target in self._targets]

    def evaluate(self) -> dict[str, int]:
        """Raise alerts for new failures; return the counts by source, empty while another pass evaluates.

        Raises:
            QueueError: The database is unreachable.
        """
        counts: dict[str, int] = {}
        for _ in range(_MAX_EVALUATIONS):
            arguments = {
                "targets": self.configured(),
                "repeat_seconds": self._settings.alert_repeat_seconds,
                "stranded_seconds": self._settings.stranded_seconds,
            }
            result = AlertEvaluation.model_validate(self._transport.call("evaluate_alerts", arguments))
            for source, count in result.raised.items():
                counts[source] = counts.get(source, 0) + count
            if not result.more:
                break
        return counts

    def run(self, max_seconds: float = 45) -> PassReport:
        """Raise alerts and deliver until nothing is due or the time is up.

        Args:
            max_seconds: Limit of the whole pass, timeouts of messages included, if it is at least 20.

        Raises:
            QueueError: The database is unreachable.
        """
        report = PassReport(raised=self.evaluate())
        if self._targets:
            asyncio.run(self._deliver(report, time.monotonic() + _sending_seconds(max_seconds)))
        return report

    async def _deliver(self, report: PassReport, deadline: float) -> None:
        async with webhooks(self._settings.webhook_allowed_hosts, _SEND_SECONDS) as sender:
            loops = (self._serve(target, sender, report, deadline) for target in self._targets)
            # Targets are independent: all are served before the first error is raised.
            problems = [error for error in await asyncio.gather(*loops, return_exceptions=True) if error is not None]
        if problems:
            raise problems[0]

    async def _serve(self, target: Target, sender: Webhooks, report: PassReport, deadline: float) -> None:
        while time.monotonic() < deadline:
            claim_id = str(uuid4())
            result = await self._call(
                "claim_alert_message", target=target.name, claim_id=claim_id, lease_seconds=_LEASE_SECONDS
            )
            claim = MessageClaim.model_validate(result)
            if claim.disabled:
                report.disabled.append(target.name)
            if claim.wait_seconds:
                report.waiting[target.name] = claim.wait_seconds
            if claim.message is None:
                return
            message = Message.from_row(claim.message, self._redact)
            receipt = await self._try(target, message, sender, deadline)
            await self._settle(claim_id, receipt)
            if receipt.outcome is DeliveryOutcome.RELEASED:
                return
            report.attempts.append(DeliveryAttempt(target.name, message.event.value, len(message.alerts), receipt))

    async def _try(self, target: Target, message: Message, sender: Webhooks, deadline: float) -> Receipt:
        wait_seconds = await self._wait_for_turn(target, deadline)
        if wait_seconds:
            return Receipt(DeliveryOutcome.RELEASED, retry_after_seconds=wait_seconds)
        try:
            receipt = await target.send(message, sender)
            # The response of a target is untrusted text.
            return replace(receipt, message=receipt.message and self._redact(receipt.message))
        except PostFailed as failure:
            return from_failure(failure)
        except SettingsError as error:
            return Receipt(DeliveryOutcome.RETRY, "settings", self._redact(str(error)))
        except Exception as error:  # noqa: BLE001 - a bug in the rendering of a message must not stop the others
            text = self._redact(f"The message could not be rendered: {type(error).__name__}.")
            return Receipt(DeliveryOutcome.RETRY, type(error).__name__, text)

    async def _wait_for_turn(self, target: Target, deadline: float) -> float:
        """Wait for the target's rate limit, shared by all processes; return the seconds left if that is too long."""
        while True:
            grant = await asyncio.to_thread(self._rates.acquire, target.rate)
            if grant.granted:
                return 0
            wait = max(grant.wait_seconds, 0.05)
            if time.monotonic() + wait > deadline:
                return wait
            await asyncio.sleep(wait)

    async def _settle(self, claim_id: str, receipt: Receipt) -> None:
        await self._call(
            "settle_alert_message",
            claim_id=claim_id,
            outcome=receipt.outcome.value,
            error=receipt.error(),
            retry_after_seconds=receipt.retry_after_seconds,
            reference=receipt.reference,
        )

    async def _call(self, function: str, **arguments: Json) -> Json:
        return await asyncio.to_thread(self._transport.call, function, arguments)


def _sending_seconds(max_seconds: float) -> float:
    """Return how long a pass starts messages: the last one started has its full timeout within the pass."""
    return max(max_seconds - _SEND_SECONDS, min(max_seconds, _BEGIN_SECONDS))


def _digest(target: Target) -> str | None:
    try:
        return target.address_digest
    except Exception:  # noqa: BLE001 - the key vault failed: sending a message reports it
        return None
