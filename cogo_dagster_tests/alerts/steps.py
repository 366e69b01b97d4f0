"""The steps most tests of alerts take."""

from typing import Any
from uuid import UUID, uuid4

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, JobError, Json, Outcome, Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import running_job

ONE = [{"target": "slack", "address_digest": "a"}]
TWO = [*ONE, {"target": "http", "address_digest": "b"}]


def fail_job(queue: Queue, error_class: str = "timeout", message: str = "The page did not load.") -> Job:
    """Let a job of the browser fail for good: one dead letter."""
    job = running_job(queue, max_attempts=1)
    queue.settle([Settlement(job, Outcome.FAILED, error=JobError(error_class, message))])
    return job


def promote(transport: Transport, targets: list[dict[str, str]] | None = None, **arguments: Json) -> Json:
    """Run the pass."""
    return transport.call("evaluate_alerts", {"targets": ONE if targets is None else targets, **arguments})


def alerts(transport: Transport, **filters: Json) -> list[Any]:
    """Return alerts, newest first."""
    rows: list[Any] = transport.call("list_alerts", filters)
    return rows


def claim(transport: Transport, target: str = "slack", claim_id: UUID | None = None) -> tuple[str, Any]:
    """Claim the next message; return the claim's id and the message or None."""
    given = str(claim_id or uuid4())
    answer = transport.call("claim_alert_message", {"target": target, "claim_id": given})
    return given, answer["message"]


def settle(transport: Transport, claim_id: str, outcome: str = "delivered", **more: Json) -> Json:
    """End the sending of a message."""
    return transport.call("settle_alert_message", {"claim_id": claim_id, "outcome": outcome, **more})


def deliver(transport: Transport, target: str = "slack") -> list[Any]:
    """Claim and deliver all that is due; return the messages."""
    messages: list[Any] = []
    while True:
        claim_id, message = claim(transport, target)
        if message is None:
            return messages
        settle(transport, claim_id)
        messages.append(message)


def let_pass(owner: Owner, seconds: float) -> None:
    """Make every alert and delivery older instead of sleeping."""
    owner.execute(
        "update public.alerts set first_seen_at = first_seen_at - passed, last_seen_at = last_seen_at - passed,"
        " resolved_at = resolved_at - passed from make_interval(secs => %s) as passed",
        [seconds],
    )
    owner.execute(
        "update public.alert_deliveries set announced_at = announced_at - passed, updated_at = updated_at - passed,"
        " next_attempt_at = next_attempt_at - passed, claim_expires_at = claim_expires_at - passed,"
        " first_attempt_at = first_attempt_at - passed, created_at = created_at - passed"
        " from make_interval(secs => %s) as passed",
        [seconds],
    )
    owner.execute(
        "update public.alert_targets set retry_at = retry_at - passed from make_interval(secs => %s) as passed",
        [seconds],
    )
    owner.execute("update public.alert_cursors set seen_at = seen_at - make_interval(secs => %s)", [seconds])
    owner.execute("update public.alert_silences set ends_at = ends_at - make_interval(secs => %s)", [seconds])
