"""explain_queue: why the queued jobs wait, by family, executor ID and cause."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import JobError, Outcome
from cogo_dagster.queue.stats import QueueNumbers, QueueReasons, WaitReason
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, settle, take


def test_an_empty_queue_has_no_reasons(transport: Transport) -> None:
    """Nothing is queued, so nothing waits."""
    assert _explain(transport) == QueueReasons(reasons=[], queued=0, stranded=0, left_out=0)


def test_each_group_has_the_reason_of_its_jobs(queue: Queue, transport: Transport) -> None:
    """Every queued job is in one group, whose reason is that of explain_jobs."""
    for job in (
        {"type": "browser"}, {"type": "browser", "run_in_seconds": 600}, {"type": "browser.pdf"},
        {"type": "browser", "executor_id": "mac"}, {"type": "figma"}, {"type": "figma", "executor_id": "mac"},
        {"type": "gate", "priority": 0}, {"type": "gate", "priority": 9}, {"type": "gate.slow", "run_in_seconds": 600},
    ):  # fmt: skip
        add(queue, **job)
    register(queue, a_worker(), families=("browser",))
    busy = a_worker("gates")
    register(queue, busy, families=("gate",), concurrency=2)
    for _ in range(2):
        add(queue, "gate", priority=0)
    take(queue, 2, families=["gate"], worker=busy)
    queue.pause("type", "browser.pdf", reason="broken", actor="anna")
    queue.pause("type", "gate.slow", actor="ben")
    found = _explain(transport)
    assert _counts(found) == {
        ("browser", None, "in_line", None): 1,
        ("browser", None, "waiting", None): 1,
        ("browser", None, "paused", "browser.pdf"): 1,
        ("browser", "mac", "no_address", None): 1,
        ("figma", None, "no_executor", None): 1,
        ("figma", "mac", "no_executor", None): 1,
        ("gate", None, "busy", None): 2,
        ("gate", None, "paused", "gate.slow"): 1,
    }
    assert found.queued == 9
    by_job = [
        (job.why, job.name)
        for job in queue.explain([row.id for row in queue.list_jobs(statuses=["queued"])], count_ahead=False)
    ]
    assert sorted(by_job, key=str) == sorted(
        ((one.why, one.name) for one in found.reasons for _ in range(one.count)), key=str
    )


def test_due_jobs_that_no_live_worker_can_claim_are_stranded(queue: Queue, transport: Transport, age: Age) -> None:
    """Other families and addresses are not affected; stranded jobs come first, with the wait of the oldest."""
    age(add(queue), 9_000)
    register(queue, a_worker(), families=("browser",))
    age(add(queue, "figma"), 3_600)
    add(queue, "figma")
    add(queue, executor_id="mac")
    found = _explain(transport)
    assert [(one.family, one.executor_id, one.stranded) for one in found.reasons] == [
        ("figma", None, True), ("browser", "mac", True), ("browser", None, False),
    ]  # fmt: skip
    assert found.stranded == 3
    assert found.reasons[0].oldest_seconds == pytest.approx(3_600, abs=60)


def test_scheduled_and_paused_jobs_are_not_stranded(queue: Queue, transport: Transport) -> None:
    """They are not due, or nothing may claim them, so that no worker is missing."""
    add(queue, run_in_seconds=28_800)
    add(queue, "figma")
    queue.pause("type", "figma", actor="me")
    found = _explain(transport)
    assert (found.queued, found.stranded) == (2, 0)
    [scheduled] = [one for one in found.reasons if one.why == "waiting"]
    assert scheduled.oldest_seconds is None
    assert scheduled.next_run_at is not None


def test_a_family_that_dagster_launches_workers_for_is_served(queue: Queue, transport: Transport, owner: Owner) -> None:
    """The sensor starts a worker for what the workers of the last hour could run, with their executor ID."""
    launched = WorkerIdentity("run", uuid4(), None, dagster_run_id=str(uuid4()))
    register(queue, launched, families=("browser",))
    queue.stop_worker(launched)
    add(queue)
    add(queue, executor_id="mac")
    add(queue, "figma")
    stranded = {(one.family, one.executor_id): one.stranded for one in _explain(transport).reasons}
    assert stranded == {("browser", None): False, ("browser", "mac"): True, ("figma", None): True}
    owner.execute("update public.workers set started_at = started_at - interval '2 hours'")
    assert _explain(transport).stranded == 3


def test_the_wait_of_a_retry_counts_from_its_time(queue: Queue, transport: Transport) -> None:
    """A failed attempt waits for its next time as a scheduled job does."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=JobError("timeout", "No answer."), delay_seconds=600)
    assert _counts(_explain(transport)) == {("browser", None, "waiting", None): 1}


def test_reasons_beyond_the_maximum_are_counted(queue: Queue, transport: Transport) -> None:
    """The totals include the groups that are left out."""
    for executor_id in ("a", "b", "c"):
        add(queue, executor_id=executor_id)
    found = QueueNumbers(transport).reasons(max_reasons=2)
    assert (len(found.reasons), found.left_out, found.queued, found.stranded) == (2, 1, 3, 3)


@pytest.mark.parametrize("arguments", [{"count_limit": 0}, {"max_reasons": 0}, {"max_reasons": 1_001}])
def test_invalid_limits_are_rejected(transport: Transport, arguments: dict[str, int]) -> None:
    """Limits have a range."""
    with pytest.raises(InvalidArgument):
        transport.call("explain_queue", arguments)


def _explain(transport: Transport) -> QueueReasons:
    return QueueNumbers(transport).reasons()


def _counts(found: QueueReasons) -> dict[tuple[str, str | None, str, str | None], int]:
    return {_key(one): one.count for one in found.reasons}


def _key(one: WaitReason) -> tuple[str, str | None, str, str | None]:
    return (one.family, one.executor_id, one.why, one.name)
