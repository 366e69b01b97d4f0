"""Targets that are no longer configured: their pending messages are closed and reported."""

import pytest

from cogo_dagster.doctor.checks.deliveries import check_deliveries
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.alerts import AlertTargets
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import ONE, TWO, alerts, deliver, evaluate, fail_job, firing
from cogo_dagster_tests.conftest import Owner

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])


def remove_http(transport: Transport, owner: Owner, seconds: float = 1_000) -> None:
    """Let the last process with the target http have registered it some time ago."""
    owner.execute(
        "update public.alert_targets set last_seen_at = last_seen_at - make_interval(secs => %s) where target = 'http'",
        [seconds],
    )
    evaluate(transport, ONE)


def health(transport: Transport) -> AlertTargets:
    """Return the health of the targets."""
    return AlertTargets.model_validate(transport.call("alert_target_health", {}))


def statuses(transport: Transport) -> list[str]:
    """Return the status of each delivery to http."""
    rows = transport.call("list_alert_deliveries", {"target": "http"})
    return sorted(row["status"] for row in rows)


def test_pending_messages_of_a_removed_target_are_closed_and_reported(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """They are skipped after 15 minutes, and the other targets, the log and the doctor report it."""
    fail_job(queue)
    evaluate(transport, TWO)
    deliver(transport, "slack")
    remove_http(transport, owner, 60)
    assert statuses(transport) == ["pending"]
    remove_http(transport, owner)
    assert statuses(transport) == ["skipped"]
    evaluate(transport, ONE)
    [message] = deliver(transport, "slack")
    assert message["alerts"][0]["title"] == "http is no longer a target of alerts"
    assert "Messages that were not sent: 1." in message["alerts"][0]["error_message"]
    [target] = [row for row in health(transport).targets if row.target == "http"]
    assert (target.removed, target.pending, target.unsent) == (True, 0, 1)
    found = {finding.check: finding for finding in check_deliveries(health(transport))}
    assert found["delivery_http"].state == "warning"
    assert "cogo alerts forget http" in str(found["delivery_http"].advice)
    assert queue.list_operations()[0].operation == "skip_alert_deliveries"


def test_no_message_becomes_pending_for_a_removed_target(transport: Transport, queue: Queue, owner: Owner) -> None:
    """New alerts are recorded as skipped, and count in no number of undelivered messages."""
    evaluate(transport, TWO)
    remove_http(transport, owner)
    fail_job(queue)
    evaluate(transport, ONE)
    assert statuses(transport) == ["skipped"]
    assert firing(transport, "target_removed") == []


def test_a_target_that_is_configured_again_receives_what_was_not_sent(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """Nothing is lost if the process of the target was stopped for a while, and the alert about it is resolved."""
    fail_job(queue)
    evaluate(transport, TWO)
    remove_http(transport, owner)
    fail_job(queue, "dns", "There is no such host.")
    evaluate(transport, ONE)
    evaluate(transport, TWO)
    received = [alert["error_class"] for message in deliver(transport, "http") for alert in message["alerts"]]
    assert sorted(received) == ["dns", "timeout"]
    evaluate(transport, TWO)
    assert alerts(transport, kind="target_removed")[0]["status"] == "resolved"


def test_a_failing_target_that_is_removed_no_longer_fires(transport: Transport, owner: Owner) -> None:
    """The alert that messages do not reach it is resolved."""
    evaluate(transport, TWO)
    error = {"class": "http_404", "message": "The receiver responded with 404.", "retryable": False}
    transport.call("record_alert_target", {"target": "http", "outcome": "dead", "error": error})
    evaluate(transport, TWO)
    assert [alert["subject"] for alert in firing(transport, "target_failing")] == ["http"]
    remove_http(transport, owner)
    evaluate(transport, ONE)
    assert firing(transport, "target_failing") == []
    assert [row.target for row in health(transport).targets if not row.healthy] == []


def test_a_target_can_be_forgotten(transport: Transport, queue: Queue) -> None:
    """It is in no list from then on, and its messages are not sent; a target that is unknown changes nothing."""
    fail_job(queue)
    evaluate(transport, TWO)
    forget = {"target": "http", "actor": "me"}
    assert transport.call("forget_alert_target", forget) == {"target": "http", "changed": True, "skipped": 1}
    assert [row.target for row in health(transport).targets] == ["slack"]
    assert transport.call("forget_alert_target", forget)["changed"] is False
    assert [row.operation for row in queue.list_operations()] == ["forget_alert_target", "skip_alert_deliveries"]
