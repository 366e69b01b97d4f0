"""Gate runs: recorded once, listed newest first, with the reports that still exist."""

from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, LeaseLost
from cogo_dagster.queue.model import Job, Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import running_job, settle, take

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def a_run(**facts: Json) -> dict[str, Json]:
    """Return the required fields of a gate run, updated with the given ones."""
    least = {"type": "gate", "status": "pass", "branch": "main", "commit_sha": COMMIT}
    return {"gate_run_id": str(uuid4()), **least, **facts}


def record(transport: Transport, **facts: Json) -> Any:
    """Record a gate run."""
    return transport.call("record_gate_run", {"run": a_run(**facts)})


def a_report(transport: Transport, digit: str = "a") -> str:
    """Create and finish a report; return its ID."""
    row = transport.call(
        "create_report",
        {
            "name": "eslint.json",
            "content_type": "application/json",
            "size_bytes": 2,
            "sha256": digit * 64,
            "extension": "json",
        },
    )
    transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    return str(row["artifact_id"])


def test_a_gate_run_stores_its_measurements(transport: Transport) -> None:
    """Given numbers are stored, missing ones are null."""
    measured = {
        "pull_request": 7,
        "build_seconds": 41.5,
        "test_seconds": 90.25,
        "lint_errors": 2,
        "lint_warnings": 9,
        "coverage_percent": 81.3,
        "tests_total": 120,
        "tests_failed": 1,
        "eslint_artifact_id": a_report(transport),
    }
    answer = record(transport, type="gate_fix", status="fail", **measured)
    assert answer["created"] is True
    assert measured.items() <= answer["gate_run"].items()
    assert answer["gate_run"]["coverage_artifact_id"] is None
    assert transport.call("list_gate_runs", {}) == [answer["gate_run"]]


def test_recording_is_idempotent(transport: Transport) -> None:
    """A repeated call returns the recorded run, even with other values."""
    run = a_run(status="fail")
    first = transport.call("record_gate_run", {"run": run})
    again = transport.call("record_gate_run", {"run": run | {"status": "pass"}})
    assert (again["created"], again["gate_run"]) == (False, first["gate_run"])
    assert len(transport.call("list_gate_runs", {})) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gate_run_id": None}, "gate_run_id"),
        ({"type": "lint"}, "gate or gate_fix"),
        ({"status": "ok"}, "pass or fail"),
        ({"branch": ""}, "branch"),
        ({"commit_sha": "HEAD"}, "hexadecimal"),
        ({"pull_request": 0}, "pull request"),
        ({"build_seconds": -1}, "build_seconds"),
        ({"test_seconds": "NaN"}, "test_seconds"),
        ({"lint_errors": -1}, "Counts"),
        ({"coverage_percent": 101}, "coverage_percent"),
        ({"eslint_artifact_id": str(uuid4())}, "not a ready artifact"),
        ({"job_id": "x"}, "Invalid argument"),
    ],
)
def test_an_invalid_gate_run_is_rejected(transport: Transport, wrong: dict[str, Json], message: str) -> None:
    """The call fails with a message, and nothing is written."""
    with pytest.raises(InvalidArgument, match=message):
        record(transport, **wrong)
    assert transport.call("list_gate_runs", {}) == []


def test_a_gate_run_gets_the_databases_time(transport: Transport) -> None:
    """A run cannot be recorded into a past window."""
    now = record(transport, created_at="2020-01-01T00:00:00Z")["gate_run"]["created_at"]
    assert not now.startswith("2020")


def test_gate_runs_are_listed_newest_first_and_filtered(transport: Transport) -> None:
    """Runs are filtered by type, branch, status and age; pages follow one another."""
    made = [
        record(transport, type=type, branch=branch, status=status)["gate_run"]
        for type, branch, status in (("gate", "main", "pass"), ("gate_fix", "x", "fail"), ("gate", "x", "fail"))
    ]
    listed = transport.call("list_gate_runs", {})
    assert listed == made[::-1]
    assert transport.call("list_gate_runs", {"type": "gate_fix"}) == [made[1]]
    assert transport.call("list_gate_runs", {"branch": "x", "status": "fail", "max_runs": 1}) == [made[2]]
    assert transport.call("list_gate_runs", {"since_seconds": 0}) == []
    assert transport.call("list_gate_runs", {"before": listed[0]}) == made[1::-1]


def test_a_deleted_report_is_not_linked(transport: Transport, owner: Owner) -> None:
    """After the report's TTL the run remains, without the ID."""
    record(transport, eslint_artifact_id=a_report(transport))
    owner.execute("update public.artifacts set status = 'expired'")
    [run] = transport.call("list_gate_runs", {})
    assert run["eslint_artifact_id"] is None


def of_attempt(job: Job, **facts: Json) -> dict[str, Json]:
    """Return the fields that the attempt's executor records."""
    return {"gate_run_id": str(job.id), "job_id": str(job.id), "lease_token": str(job.lease_token), **facts}


def test_a_newer_attempts_run_replaces_an_older_one(transport: Transport, queue: Queue) -> None:
    """The first attempt recorded its run and was requeued before its settlement: the second one counts."""
    first = running_job(queue, "gate")
    assert record(transport, status="fail", **of_attempt(first))["created"] is True
    transport.call("evaluate_alerts", {})
    settle(queue, first, Outcome.REQUEUED)
    [second] = take(queue, families=["gate"])
    answer = record(transport, status="pass", **of_attempt(second))
    assert (answer["created"], answer["gate_run"]["status"]) == (True, "pass")
    [run] = transport.call("list_gate_runs", {})
    assert run["status"] == "pass"
    transport.call("evaluate_alerts", {})
    assert [alert["status"] for alert in transport.call("list_alerts", {"kind": "gate_failed"})] == ["resolved"]


def test_a_stale_attempts_run_is_rejected(transport: Transport, queue: Queue, age: Age) -> None:
    """After its lease was recovered, an attempt cannot record a run, before or after the newer attempt has."""
    stale = running_job(queue, "gate")
    age(stale, 3600)
    queue.recover()
    with pytest.raises(LeaseLost, match="its gate run is not accepted"):
        record(transport, status="fail", **of_attempt(stale))
    [current] = take(queue, families=["gate"])
    record(transport, status="pass", **of_attempt(current))
    with pytest.raises(LeaseLost, match="its gate run is not accepted"):
        record(transport, status="fail", **of_attempt(stale))
    assert [run["status"] for run in transport.call("list_gate_runs", {})] == ["pass"]


def test_an_attempt_records_its_run_once(transport: Transport, queue: Queue) -> None:
    """A repeated call returns the recorded run with its first time."""
    job = running_job(queue, "gate")
    first = record(transport, status="fail", **of_attempt(job))
    again = record(transport, status="pass", **of_attempt(job))
    assert (again["created"], again["gate_run"]) == (False, first["gate_run"])
