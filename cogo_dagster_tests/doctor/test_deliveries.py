"""What the doctor says of the deliveries of alerts, from a real outbox."""

from cogo_dagster.doctor.checks.deliveries import check_deliveries
from cogo_dagster.doctor.findings import Finding
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertTargets
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import claim, deliver, evaluate, fail_job, let_pass, settle
from cogo_dagster_tests.conftest import Owner

BROKEN: dict[str, Json] = {"class": "no_service", "message": "Slack knows no such webhook.", "retryable": False}


def findings(transport: Transport) -> dict[str, Finding]:
    """Let the doctor look."""
    found = check_deliveries(AlertTargets.model_validate(transport.call("alert_target_health", {})))
    return {finding.check: finding for finding in found}


def test_without_targets_there_is_nothing_to_say(transport: Transport) -> None:
    """Nobody is to be told."""
    assert findings(transport) == {}


def test_a_target_that_is_told_is_well(transport: Transport, queue: Queue) -> None:
    """With how many messages it got."""
    fail_job(queue)
    evaluate(transport)
    deliver(transport)
    found = findings(transport)
    assert {check: finding.state for check, finding in found.items()} == {"delivery_slack": "ok"}
    assert found["delivery_slack"].sentence.startswith("1 messages were delivered to slack")


def test_a_target_that_refuses_is_found_with_its_reason(transport: Transport, queue: Queue) -> None:
    """And how to try it."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error=BROKEN)
    found = findings(transport)["delivery_slack"]
    assert (found.state, BROKEN["message"] in found.sentence) == ("failed", True)
    assert "cogo alerts test slack" in str(found.advice)


def test_messages_that_were_given_up_are_a_warning_once_the_target_is_well(transport: Transport, queue: Queue) -> None:
    """They can be replayed."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error=BROKEN)
    fail_job(queue, "dns", "There is no such host.")
    evaluate(transport)
    deliver(transport)
    found = findings(transport)["delivery_slack"]
    assert (found.state, "cogo alerts replay" in str(found.advice)) == ("warning", True)


def test_failures_that_nobody_looks_for_are_found(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The pass has not run for hours."""
    fail_job(queue)
    evaluate(transport)
    deliver(transport)
    let_pass(owner, 7_300)
    found = findings(transport)["alerts"]
    assert (found.state, "for 2 h not" in found.sentence) == ("warning", True)
