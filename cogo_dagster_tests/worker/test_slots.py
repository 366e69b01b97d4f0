"""Jobs are claimed ahead of free slots if others are very short or end soon; no more run at once."""

from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import ClaimRequest, Queue
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker.options import WorkerOptions
from cogo_dagster.queue.worker.slots import MAX_CLAIMED, Pace, Slots
from cogo_dagster.queue.worker.state import Abandonment, HeldJob, WorkerState
from cogo_dagster.queue.worker.storage import StorageState
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate
from cogo_dagster_tests.worker.faults import Watched


def paced(slots: int, *, jobs: int, run_seconds: float = 0.0001, seconds: float = 1.0) -> Pace:
    """Return the pace after as many jobs as given have ended within a number of seconds."""
    pace = Pace(slots)
    pace.limit(10.0)
    for _ in range(jobs):
        pace.note(run_seconds)
    pace.limit(10.0 + seconds)
    return pace


def test_only_as_many_jobs_as_slots_are_claimed_before_one_was_executed() -> None:
    """A worker that starts knows nothing about its jobs."""
    assert Pace(4).limit(1.0) == 4


def test_short_jobs_are_claimed_for_a_tenth_of_a_second() -> None:
    """2,000 short jobs in a second allow 200."""
    assert paced(4, jobs=2_000).limit(11.0) == 200


def test_no_more_jobs_are_claimed_ahead_than_were_short_in_a_row() -> None:
    """However fast they were."""
    assert paced(4, jobs=30, seconds=0.05).limit(10.05) == 30


def test_the_number_of_jobs_claimed_ahead_is_limited() -> None:
    """A worker with more slots claims for all of them."""
    assert paced(4, jobs=100_000).limit(11.0) == MAX_CLAIMED
    assert paced(2_500, jobs=100_000).limit(11.0) == 2_500


def opened(concurrency: int = 4, **slots: int | None) -> Slots:
    """Return the slots of a worker, with the given number for each family."""
    executors = {family: FakeExecutor(family=family, slots=own) for family, own in slots.items()}
    state = SimpleNamespace(options=WorkerOptions(concurrency=concurrency), executors=executors, storage=StorageState())
    return Slots(cast("WorkerState", state))


def held_job(family: str = "browser") -> HeldJob:
    """Return a claimed job."""
    return HeldJob(Job(uuid4(), family, {}, 1, 5, uuid4()), family, 0.0)


def test_half_of_the_jobs_claimed_ahead_are_requested_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half is executed while the call claims them."""
    now = 10.0
    monkeypatch.setattr("cogo_dagster.queue.worker.slots.time", SimpleNamespace(monotonic=lambda: now))
    slots = opened(browser=None)
    assert slots.requests(0, prefetch=False) == ([ClaimRequest("browser", 4)], 4)
    job = held_job()
    for _ in range(100_000):
        slots.note(job, 0.0001)
    now = 11.0
    assert slots.requests(0, prefetch=False) == ([ClaimRequest("browser", 1_000)], 1_000)
    assert slots.limit() == MAX_CLAIMED


def test_a_job_that_is_not_short_ends_the_claims_ahead() -> None:
    """One of 10 ms is enough."""
    pace = paced(4, jobs=2_000)
    pace.note(0.01)
    assert pace.limit(11.0) == 4


def test_jobs_that_are_not_short_are_claimed_for_free_slots() -> None:
    """Their number per second does not matter."""
    assert paced(4, jobs=2_000, run_seconds=0.5).limit(11.0) == 4


def test_short_jobs_take_fewer_calls_and_no_more_slots(bench: Bench, queue: Queue, transport: Transport) -> None:
    """With two slots, 600 jobs take far fewer than 300 claims, and two run at once."""
    claims = 0

    def count(function: str, arguments: object) -> None:
        nonlocal claims
        claims += function == "claim_jobs"

    executor = FakeExecutor()
    queue.enqueue([NewJob("browser") for _ in range(600)])
    bench.drain(executor, queue=Queue(Watched(transport, count)), concurrency=2)
    assert len(executor.ran) == 600
    assert executor.max_running <= 2
    assert claims < 200


def test_jobs_claimed_ahead_do_not_wait_behind_a_long_job(bench: Bench, queue: Queue) -> None:
    """They are requeued after a second without a free slot, and their attempt is not counted."""
    gate = Gate()

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        return await gate(job, workspace) if job.payload.get("long") else ExecutionResult()

    queue.enqueue([NewJob("browser", priority=1) for _ in range(300)])
    long = add(queue, priority=2, payload={"long": True})
    later = [one.job_id for one in queue.enqueue([NewJob("browser", priority=3) for _ in range(20)])]
    with bench.running(FakeExecutor(body), concurrency=1) as running:
        gate.arrived()
        eventually(lambda: queue.stats().document["running"] == 1, "only the long job is running")
        waiting = queue.get_jobs(later)
        assert {job.status for job in waiting} == {"queued"}
        assert {job.attempts for job in waiting} == {0}
        gate.open()
        eventually(lambda: all(job.status == "succeeded" for job in queue.get_jobs(later)), "all jobs succeeded")
        assert look(queue, long)["status"] == "succeeded"
    assert running.report().counters["requeued"] > 0


@pytest.mark.parametrize("own", [None, 2])
def test_a_job_is_claimed_for_the_slot_of_one_that_ends_soon(own: int | None) -> None:
    """As long as that one is not cancelled, and of the same family if that one uses all of its slots."""
    slots = opened(2 if own is None else 3, browser=own, gate=None)
    jobs = [held_job(), held_job()]
    for job in jobs:
        slots.take(job)
        slots.begin(job)
    free = slots.requests(0, prefetch=False)[1]
    slots.note_ending(jobs[0])
    slots.note_ending(jobs[0])
    requests, capacity = slots.requests(0, prefetch=False)
    assert capacity == free + 1
    assert next(request for request in requests if request.family == "browser").max_jobs == 1
    assert not slots.may_execute(held_job())
    jobs[0].abandon(Abandonment.TIMEOUT)
    assert slots.requests(0, prefetch=False)[1] == free
    slots.end(jobs[0])
    slots.free(jobs[0])
    slots.note_ending(jobs[0])
    assert slots.requests(0, prefetch=False)[1] == free + 1
    assert slots.may_execute(held_job())


def test_nothing_is_claimed_ahead_for_a_minute_after_a_wait_that_was_too_long() -> None:
    """The job that was to end soon did not."""
    slots, job = opened(1, browser=None), held_job()
    slots.take(job)
    slots.note_ending(job)
    slots.suspend_ahead()
    assert slots.requests(0, prefetch=False) == ([], 0)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_job_claimed_ahead_starts_when_the_other_has_ended(bench: Bench, queue: Queue, stopped: bool) -> None:
    """A worker that is stopped before that requeues it, and its attempt is not counted."""
    gate = Gate()

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        workspace.ends_soon()
        return await gate(job, workspace) if job.payload.get("first") else ExecutionResult()

    first = add(queue, priority=1, payload={"first": True})
    second = add(queue, priority=2)
    executor = FakeExecutor(body)
    with bench.running(executor, concurrency=1) as running:
        gate.arrived()
        eventually(lambda: look(queue, second)["status"] == "running", "the second job is claimed")
        assert len(executor.ran) == 1
        if stopped:
            running.worker.request_stop(30)
            eventually(lambda: look(queue, second)["status"] == "queued", "the second job is requeued")
        gate.open()
        eventually(lambda: look(queue, first)["status"] == "succeeded", "the first job succeeded")
        if not stopped:
            eventually(lambda: look(queue, second)["status"] == "succeeded", "the second job succeeded")
    assert executor.max_running == 1
    assert look(queue, second)["attempts"] == (0 if stopped else 1)


def test_a_family_uses_no_more_than_its_slots_for_jobs_claimed_ahead(bench: Bench, queue: Queue) -> None:
    """A free slot of the worker is left to other families, which are executed before the waiting job."""
    gate = Gate()

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        workspace.ends_soon()
        return await gate(job, workspace) if job.payload.get("first") else ExecutionResult()

    add(queue, priority=1, payload={"first": True})
    second = add(queue, priority=2)
    browser, other = FakeExecutor(body, slots=1), FakeExecutor(family="other")
    with bench.running(browser, other, concurrency=2):
        gate.arrived()
        eventually(lambda: look(queue, second)["status"] == "running", "the second job is claimed")
        third = add(queue, "other")
        eventually(lambda: look(queue, third)["status"] == "succeeded", "the other family's job succeeded")
        assert len(browser.ran) == 1
        gate.open()
        eventually(lambda: look(queue, second)["status"] == "succeeded", "the second job succeeded")
    assert browser.max_running == 1
