"""Alerts for due jobs that no live worker can claim."""

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import evaluate, firing, ignore_the_servers_uptime
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register


@pytest.fixture(autouse=True)
def long_running_server(owner: Owner) -> None:
    """Ignore that the server of the test has just started."""
    ignore_the_servers_uptime(owner, "raise_stranded_alerts(double precision)")


def test_stranded_jobs_raise_one_alert_for_each_family_and_executor(
    queue: Queue, transport: Transport, age: Age
) -> None:
    """Only jobs that have been due for long enough count, and the alert is raised once."""
    register(queue, a_worker(), families=("browser",))
    for options in (
        {"type": "figma"},
        {"type": "figma"},
        {"type": "browser", "executor_id": "mac"},
        {"type": "browser"},
    ):
        age(add(queue, **options), 3_600)
    add(queue, "gate")
    assert evaluate(transport)["promoted"]["stranded"] == 2
    assert {alert["subject"] for alert in firing(transport, "jobs_stranded")} == {"figma", "browser mac"}
    assert evaluate(transport)["promoted"]["stranded"] == 0
    assert evaluate(transport, stranded_seconds=0)["promoted"]["stranded"] == 1


@pytest.mark.parametrize(("seconds", "says"), [(3_600, "60 min"), (75_600, "21 h"), (864_000, "10 d")])
def test_the_alert_has_the_age_of_the_oldest_job(
    queue: Queue, transport: Transport, age: Age, seconds: int, says: str
) -> None:
    """The unit grows with the age."""
    age(add(queue, "figma"), seconds)
    evaluate(transport)
    [alert] = firing(transport, "jobs_stranded")
    assert f"Due jobs: 1, the oldest for {says}." in alert["error_message"]


def test_the_alert_is_resolved_when_a_worker_can_claim_the_jobs(queue: Queue, transport: Transport, age: Age) -> None:
    """A live worker of the family resolves it."""
    age(add(queue, "figma"), 3_600)
    evaluate(transport)
    register(queue, a_worker(), families=("figma",))
    evaluate(transport)
    assert firing(transport, "jobs_stranded") == []


def test_a_scheduled_job_raises_no_alert(queue: Queue, transport: Transport) -> None:
    """It is not due, so that no worker is missing."""
    add(queue, run_in_seconds=28_800)
    assert evaluate(transport, stranded_seconds=0)["promoted"]["stranded"] == 0


def test_a_negative_duration_is_rejected(transport: Transport) -> None:
    """The duration is 0 or more."""
    with pytest.raises(InvalidArgument):
        evaluate(transport, stranded_seconds=-1)
