"""Conditions that last: reported as a whole by whoever sees them, alerts while they are reported."""

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import alerts, promote
from cogo_dagster_tests.conftest import Owner


def a_condition(subject: str = "ready_jobs", kind: str = "sensor_failing", message: str = "ValueError: no") -> Json:
    """Return one condition."""
    return {"kind": kind, "subject": subject, "title": f"The sensor {subject} fails", "error_message": message}


def report(transport: Transport, *conditions: Json, scope: str = "dagster") -> Json:
    """Report all there is."""
    return transport.call("report_conditions", {"scope": scope, "conditions": list(conditions)})


def firing(transport: Transport) -> list[str]:
    """Promote; return the subjects of what fires."""
    promote(transport)
    return sorted(row["subject"] for row in alerts(transport, status="firing"))


def test_a_condition_is_one_alert_until_it_is_left_out(transport: Transport) -> None:
    """However often it is reported and promoted."""
    for _ in range(3):
        report(transport, a_condition())
        assert firing(transport) == ["ready_jobs"]
    [row] = alerts(transport)
    assert (row["count"], row["title"], row["error_message"]) == (1, "The sensor ready_jobs fails", "ValueError: no")
    report(transport)
    assert firing(transport) == []
    assert alerts(transport)[0]["resolution"] == "It is no longer reported."


def test_reporters_do_not_end_each_others_conditions(transport: Transport) -> None:
    """Two machines lack the same package: it is over when both have it."""
    report(transport, a_condition("a"), scope="one")
    report(transport, a_condition("a"), a_condition("b"), scope="two")
    assert firing(transport) == ["a", "b"]
    report(transport, scope="two")
    assert firing(transport) == ["a"]
    report(transport, scope="one")
    assert firing(transport) == []


def test_a_reporter_that_is_gone_for_a_day_reports_no_more(transport: Transport, owner: Owner) -> None:
    """Its machine was removed."""
    report(transport, a_condition())
    assert firing(transport) == ["ready_jobs"]
    owner.execute("update public.watched_conditions set seen_at = seen_at - interval '25 hours'")
    assert firing(transport) == []


@pytest.mark.parametrize(
    ("scope", "conditions"),
    [("", []), ("dagster", {}), ("dagster", [{"kind": "else"}]), ("dagster", [{}]), ("dagster", None)],
)
def test_what_is_no_report_is_refused(transport: Transport, scope: str, conditions: Json) -> None:
    """With a sentence, before anything is written."""
    with pytest.raises(InvalidArgument):
        transport.call("report_conditions", {"scope": scope, "conditions": conditions})


def test_secrets_and_long_texts_are_cut(transport: Transport) -> None:
    """Strangers' exceptions may say anything."""
    report(transport, a_condition("s" * 500, message="password=hunter2hunter2 " + "x" * 5_000))
    assert firing(transport) == ["s" * 200]
    assert "hunter2hunter2" not in str(alerts(transport))
