"""Checks of the delivery of alerts."""

from cogo_dagster.doctor.checks.deliveries import check_deliveries
from cogo_dagster.doctor.findings import Finding
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertTargets
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import claim, deliver, fail_job, let_pass, promote, settle
from cogo_dagster_tests.conftest import Owner

BROKEN: dict[str, Json] = {"class": "no_service", "message": "Slack knows no such webhook.", "retryable": False}


def findings(transport: Transport) -> dict[str, Finding]:
    """Return the findings by check."""
    found = check_deliveries(AlertTargets.model_validate(transport.call("alert_target_health", {})))
    return {finding.check: finding for finding in found}


def test_no_targets(transport: Transport) -> None:
    """Without targets there are no findings."""
    assert findings(transport) == {}


def test_a_healthy_target(transport: Transport, queue: Queue) -> None:
    """The finding has the number of deliveries."""
    fail_job(queue)
    promote(transport)
    deliver(transport)
    found = findings(transport)
    assert {check: finding.state for check, finding in found.items()} == {"delivery_slack": "ok"}
    assert found["delivery_slack"].sentence.startswith("Deliveries to slack: 1 delivered")


def test_a_failing_target(transport: Transport, queue: Queue) -> None:
    """The finding has the reason of the failure, and how to test the target."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error=BROKEN)
    found = findings(transport)["delivery_slack"]
    assert (found.state, BROKEN["message"] in found.sentence) == ("failed", True)
    assert "cogo alerts test slack" in str(found.advice)


def test_dead_deliveries_of_a_healthy_target(transport: Transport, queue: Queue) -> None:
    """Dead deliveries are a warning, with the command that replays them."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error=BROKEN)
    fail_job(queue, "dns", "There is no such host.")
    promote(transport)
    deliver(transport)
    found = findings(transport)["delivery_slack"]
    assert (found.state, "cogo alerts replay" in str(found.advice)) == ("warning", True)


def test_failures_are_not_evaluated(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A warning reports that alerts have not been evaluated for hours."""
    fail_job(queue)
    promote(transport)
    deliver(transport)
    let_pass(owner, 7_300)
    found = findings(transport)["alerts"]
    assert (found.state, "evaluated for 2 h" in found.sentence) == ("warning", True)
