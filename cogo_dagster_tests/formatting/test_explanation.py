"""Why a job is where it is, in words."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from cogo_dagster.formatting.explanation import why
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import JobReason

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SOON = (NOW + timedelta(minutes=4)).isoformat()
BEFORE = (NOW - timedelta(hours=2)).isoformat()
OTHER = "01900000-0000-7000-8000-000000000001"
PAUSED = {"why": "paused", "kind": "type", "name": "browser", "paused_at": BEFORE, "actor": "anna"}


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        (
            PAUSED | {"reason": "the site is down"},
            "type browser is paused for 2 h by anna: the site is down; `cogo resume type browser` lets it go on",
        ),
        (PAUSED | {"reason": None}, "type browser is paused for 2 h by anna; `cogo resume type browser` lets it go on"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 0}, "waits 4 min for its time"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 2}, "waits 4 min for its next attempt"),
        (
            {"why": "waiting", "next_run_at": SOON, "attempts": 0, "snoozed": "Figma allows no call."},
            "was put off, and waits 4 min more: Figma allows no call",
        ),
        ({"why": "no_worker"}, "no worker is alive: start one with `cogo worker`"),
        ({"why": "no_executor", "family": "gate"}, "no worker alive runs gate jobs"),
        (
            {"why": "no_executor", "family": "figma"},
            "no worker alive runs figma jobs: start one with FIGMA_API_TOKEN set",
        ),
        (
            {"why": "no_address", "executor_id": "mac"},
            "no worker alive serves the executor id mac: start one with EXECUTOR_ID=mac",
        ),
        ({"why": "busy", "slots": 8}, "all 8 slots of the workers that could take it are busy"),
        ({"why": "in_line", "ahead": 0}, "is due, and next in line"),
        ({"why": "in_line", "ahead": 1}, "is due; 1 job is before it"),
        ({"why": "in_line", "ahead": 1000}, "is due; 1,000 or more jobs are before it"),
        ({"why": "running", "worker_id": "box", "lease_expires_at": SOON}, "runs on box, whose lease lasts 4 min more"),
        (
            {"why": "lease_expired", "worker_id": "box", "lease_expires_at": BEFORE},
            (
                "its worker box has not renewed the lease that ended 2 h ago; "
                "any worker takes it back, or `cogo recover leases`"
            ),
        ),
        ({"why": "succeeded"}, "has succeeded"),
        ({"why": "cancelled"}, "was cancelled"),
        (
            {"why": "failed", "reason": "out_of_attempts", "replayed_job_id": None},
            "has failed (out of attempts); `cogo replay dlq` or `cogo retry failed` runs it again",
        ),
        (
            {"why": "failed", "reason": "permanent", "replayed_job_id": OTHER},
            f"has failed and was replayed as job {OTHER}",
        ),
        ({"why": "failed"}, "has failed (failed); `cogo replay dlq` or `cogo retry failed` runs it again"),
    ],
)
def test_each_fact_has_its_sentence(fact: Json, sentence: str) -> None:
    """That says what to do, where something can be done."""
    assert why(JobReason.model_validate({"job_id": str(uuid4()), **fact}), NOW) == sentence
