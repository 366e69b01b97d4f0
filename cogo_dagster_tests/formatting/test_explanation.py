"""Explanations of the status of jobs."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from cogo_dagster.formatting.explanation import advice_for, queue_line, short_reason, why
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import JobReason
from cogo_dagster.queue.stats import WaitReason

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SOON = (NOW + timedelta(minutes=4)).isoformat()
BEFORE = (NOW - timedelta(hours=2)).isoformat()
OTHER = "01900000-0000-7000-8000-000000000001"
PAUSED = {"why": "paused", "kind": "type", "name": "browser", "paused_at": BEFORE, "actor": "anna"}


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (
            PAUSED | {"reason": "the site is down"},
            "type browser has been paused for 2 h by anna: the site is down; resume with `cogo resume type browser`",
        ),
        (
            PAUSED | {"reason": None},
            "type browser has been paused for 2 h by anna; resume with `cogo resume type browser`",
        ),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 0}, "first attempt is due in 4 min"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 2}, "next attempt is due in 4 min"),
        (
            {"why": "waiting", "next_run_at": SOON, "attempts": 0, "snoozed": "Figma allows no call."},
            "snoozed for another 4 min: Figma allows no call",
        ),
        ({"why": "no_worker"}, "no worker is alive: start one with `cogo worker`"),
        (
            {"why": "no_worker", "family": "figma", "executor_id": "mac"},
            "no worker is alive: start one with `cogo worker` and FIGMA_API_TOKEN and EXECUTOR_ID=mac set",
        ),
        (
            {"why": "no_executor", "family": "weekly_summary"},
            "no live worker runs weekly_summary jobs: start one with `cogo worker`",
        ),
        (
            {"why": "no_executor", "family": "gate", "executor_id": "mac"},
            (
                "no live worker runs gate jobs: start one with `cogo worker` and COGO_GATE_COMMANDS and "
                "EXECUTOR_ID=mac set"
            ),
        ),
        (
            {"why": "no_executor", "family": "invoices"},
            (
                "no live worker runs invoices jobs: start one with `cogo worker`, on a machine with an executor for "
                "invoices installed"
            ),
        ),
        (
            {"why": "no_address", "family": "figma", "executor_id": "mac"},
            (
                "no live worker serves the executor ID mac: start one with `cogo worker` and FIGMA_API_TOKEN and "
                "EXECUTOR_ID=mac set"
            ),
        ),
        ({"why": "busy", "slots": 8}, "all slots (8) of the workers that can run it are busy"),
        ({"why": "in_line", "ahead": 0}, "due, and first in the queue"),
        ({"why": "in_line", "ahead": 1}, "due; 1 job is ahead of it"),
        ({"why": "in_line", "ahead": 1000}, "due; 1,000 or more jobs are ahead of it"),
        (
            {"why": "running", "worker_id": "box", "lease_expires_at": SOON},
            "running on box; the lease expires in 4 min",
        ),
        (
            {"why": "lease_expired", "worker_id": "box", "lease_expires_at": BEFORE},
            ("the lease of box expired 2 h ago; it is recovered by any worker, or by `cogo recover leases`"),
        ),
        ({"why": "succeeded"}, "succeeded"),
        ({"why": "cancelled"}, "cancelled"),
        (
            {"why": "failed", "reason": "out_of_attempts", "replayed_job_id": None},
            "failed (out of attempts); run it again with `cogo replay dlq` or `cogo retry failed`",
        ),
        (
            {"why": "failed", "reason": "permanent", "replayed_job_id": OTHER},
            f"failed, and was replayed as job {OTHER}",
        ),
        (
            {"why": "failed", "reason": "permanent", "discarded_at": BEFORE, "discard_reason": "the page was removed"},
            "failed (permanent), and was discarded 2 h ago: the page was removed",
        ),
        ({"why": "failed"}, "failed (failed); run it again with `cogo replay dlq` or `cogo retry failed`"),
    ],
)
def test_each_reason_is_explained(fact: Json, text: str) -> None:
    """Each reason has a text, with advice if something can be done."""
    assert why(JobReason.model_validate({"job_id": str(uuid4()), **fact}), NOW) == text


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (PAUSED, "type browser is paused"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 0}, "due in 4 min"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 2}, "retry in 4 min"),
        ({"why": "waiting", "next_run_at": SOON, "attempts": 0, "snoozed": "Rate limit."}, "snoozed for 4 min"),
        ({"why": "no_worker"}, "no worker is alive"),
        ({"why": "no_executor", "family": "gate"}, "no live worker runs gate jobs, which need COGO_GATE_COMMANDS"),
        ({"why": "no_address", "executor_id": "mac"}, "no live worker serves mac"),
        ({"why": "busy", "slots": 8}, "all 8 slots are busy"),
        ({"why": "in_line", "ahead": None}, "due"),
        ({"why": "succeeded"}, ""),
    ],
)
def test_each_wait_has_a_short_reason(fact: Json, text: str) -> None:
    """A row of a list shows why a queued job waits in a few words."""
    assert short_reason(JobReason.model_validate({"job_id": str(uuid4()), **fact}), NOW) == text


def test_a_line_of_the_queue_names_jobs_cause_and_wait() -> None:
    """The advice names what a worker of this family and executor ID needs."""
    reason = WaitReason(
        family="figma", executor_id="mac", why="no_worker", count=1_200, stranded=True, oldest_seconds=7_200,
        next_run_at=None, kind=None, name=None, paused_at=None, actor=None, reason=None, slots=0,
    )  # fmt: skip
    assert queue_line(reason, NOW) == "1,200 figma for mac: no worker is alive, the oldest for 2 h"
    assert advice_for(reason) == "Start one with `cogo worker` and FIGMA_API_TOKEN and EXECUTOR_ID=mac set."
    assert advice_for(reason.model_copy(update={"stranded": False})) is None
