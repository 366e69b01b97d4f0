"""Conditions: each reporter reports all conditions of its scope, and an alert fires while one is reported."""

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import alerts, evaluate
from cogo_dagster_tests.conftest import Owner


def a_condition(subject: str = "ready_jobs", kind: str = "sensor_failing", message: str = "ValueError: no") -> Json:
    """Return a condition."""
    return {"kind": kind, "subject": subject, "title": f"The sensor {subject} fails", "error_message": message}


def report(transport: Transport, *conditions: Json, scope: str = "dagster") -> Json:
    """Report all conditions of a scope."""
    return transport.call("report_conditions", {"scope": scope, "conditions": list(conditions)})


def firing(transport: Transport) -> list[str]:
    """Raise alerts; return the subjects of the firing ones."""
    evaluate(transport)
    return sorted(row["subject"] for row in alerts(transport, status="firing"))


def test_a_condition_is_one_alert_while_it_is_reported(transport: Transport) -> None:
    """Repeated reports do not increase the count; the alert resolves when the condition is no longer reported."""
    for _ in range(3):
        report(transport, a_condition())
        assert firing(transport) == ["ready_jobs"]
    [row] = alerts(transport)
    assert (row["count"], row["title"], row["error_message"]) == (1, "The sensor ready_jobs fails", "ValueError: no")
    report(transport)
    assert firing(transport) == []
    assert alerts(transport)[0]["resolution"] == "The condition is no longer reported."


def test_scopes_are_independent(transport: Transport) -> None:
    """A condition that two scopes report resolves when neither reports it."""
    report(transport, a_condition("a"), scope="one")
    report(transport, a_condition("a"), a_condition("b"), scope="two")
    assert firing(transport) == ["a", "b"]
    report(transport, scope="two")
    assert firing(transport) == ["a"]
    report(transport, scope="one")
    assert firing(transport) == []


def test_reports_expire_after_a_day(transport: Transport, owner: Owner) -> None:
    """A scope that has not reported for a day, such as that of a removed machine, has no conditions."""
    report(transport, a_condition())
    assert firing(transport) == ["ready_jobs"]
    owner.execute("update public.watched_conditions set seen_at = seen_at - interval '25 hours'")
    assert firing(transport) == []


@pytest.mark.parametrize(
    ("scope", "conditions"),
    [("", []), ("dagster", {}), ("dagster", [{"kind": "else"}]), ("dagster", [{}]), ("dagster", None)],
)
def test_an_invalid_report_is_rejected(transport: Transport, scope: str, conditions: Json) -> None:
    """An invalid scope or condition raises InvalidArgument."""
    with pytest.raises(InvalidArgument):
        transport.call("report_conditions", {"scope": scope, "conditions": conditions})


def test_secrets_are_redacted_and_long_texts_truncated(transport: Transport) -> None:
    """Subjects are truncated and secrets in error messages redacted."""
    report(transport, a_condition("s" * 500, message="password=hunter2hunter2 " + "x" * 5_000))
    assert firing(transport) == ["s" * 200]
    assert "hunter2hunter2" not in str(alerts(transport))
