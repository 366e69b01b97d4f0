"""Steps of the tests of alerts."""

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
    """Create a dead-lettered job of type browser."""
    job = running_job(queue, max_attempts=1)
    queue.settle([Settlement(job, Outcome.FAILED, error=JobError(error_class, message))])
    return job


def evaluate(transport: Transport, targets: list[dict[str, str]] | None = None, **arguments: Json) -> Json:
    """Raise alerts for new failures."""
    return transport.call("evaluate_alerts", {"targets": ONE if targets is None else targets, **arguments})


def raised(transport: Transport) -> Json:
    """Raise alerts for new failures; return the number of failures by source."""
    return evaluate(transport)["promoted"]


def alerts(transport: Transport, **filters: Json) -> list[Any]:
    """Return alerts, newest first."""
    rows: list[Any] = transport.call("list_alerts", filters)
    return rows


def claim(transport: Transport, target: str = "slack", claim_id: UUID | None = None) -> tuple[str, Any]:
    """Claim the next message; return the claim id and the message, or None."""
    given = str(claim_id or uuid4())
    answer = transport.call("claim_alert_message", {"target": target, "claim_id": given})
    return given, answer["message"]


def settle(transport: Transport, claim_id: str, outcome: str = "delivered", **more: Json) -> Json:
    """Settle a claimed message."""
    return transport.call("settle_alert_message", {"claim_id": claim_id, "outcome": outcome, **more})


def deliver(transport: Transport, target: str = "slack") -> list[Any]:
    """Claim and settle all due messages; return them."""
    messages: list[Any] = []
    while True:
        claim_id, message = claim(transport, target)
        if message is None:
            return messages
        settle(transport, claim_id)
        messages.append(message)


def firing(transport: Transport, kind: str) -> list[Any]:
    """Return the firing alerts of a kind."""
    return [alert for alert in alerts(transport, status="firing") if alert["kind"] == kind]


def ignore_the_servers_uptime(owner: Owner, function: str = "raise_worker_alerts()") -> None:
    """Remove the rule that ignores silent workers in the first two minutes after the start of the server."""
    body = owner.execute("select pg_get_functiondef(%s::regprocedure)", [f"cogo_internal.{function}"]).fetchone()
    assert body is not None
    owner.execute(body[0].replace("pg_postmaster_start_time() > at - interval '2 minutes'", "false").encode())


def let_pass(owner: Owner, seconds: float) -> None:
    """Move the timestamps of alerts and deliveries into the past, instead of sleeping."""
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
