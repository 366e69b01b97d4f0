"""Which jobs a worker claims, how many concurrently, and when it ends."""

import gc
from uuid import UUID

import pytest

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster.queue.worker import EventKind, Stage
from cogo_dagster_tests.queue.steps import add, add_all, look
from cogo_dagster_tests.startup import COUNT_OF_FROZEN
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate


def test_a_worker_runs_what_is_due_and_ends_drained(bench: Bench, queue: Queue) -> None:
    """Every due job succeeds once with its result; a scheduled job stays queued."""
    due = add_all(queue, 7)
    later = add(queue, run_in_seconds=3600)
    executor = FakeExecutor()

    report = bench.drain(executor)

    assert report.ended_because == "drained"
    assert {"claimed": 7, "succeeded": 7}.items() <= report.counters.items()
    assert {job.document["status"] for job in queue.get_jobs(due)} == {"succeeded"}
    assert {job.document["attempts"] for job in queue.get_jobs(due)} == {1}
    assert look(queue, due[0])["result"] == {"attempt": 1}
    assert look(queue, later)["status"] == "queued"
    assert sorted(job.id for job in executor.ran) == sorted(due)
    assert (executor.starts, executor.stops) == (1, 1)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("way", ["postgres"])
def test_modules_are_not_searched_for_garbage_during_the_jobs(
    bench: Bench, queue: Queue, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    """Afterwards they are again, unless the process had excluded them before."""
    monkeypatch.setattr(gc, "get_freeze_count", COUNT_OF_FROZEN)
    add(queue)
    counts: list[int] = []

    async def count(job: Job, workspace: Workspace) -> ExecutionResult:
        counts.append(gc.get_freeze_count())
        return ExecutionResult()

    gc.unfreeze()
    try:
        if frozen:
            gc.freeze()
        bench.drain(FakeExecutor(count))
        assert counts[0] > 10_000
        assert (gc.get_freeze_count() > 10_000) is frozen
    finally:
        gc.freeze()


def test_an_empty_queue_ends_a_lingering_worker_at_once(bench: Bench) -> None:
    """With `linger_seconds` 0, the worker ends without a claimed job."""
    report = bench.drain(FakeExecutor())
    assert (report.ended_because, report.counters.get("claimed", 0)) == ("drained", 0)


def test_max_jobs_is_never_exceeded(bench: Bench, queue: Queue) -> None:
    """With four slots, six due jobs and a limit of three, the worker claims three, settles them and ends."""
    jobs = add_all(queue, 6)
    executor = FakeExecutor()

    report = bench.drain(executor, max_jobs=3, concurrency=4)

    assert report.ended_because == "max_jobs"
    assert len(executor.ran) == report.counters["succeeded"] == 3
    untouched = [job for job in queue.get_jobs(jobs) if job.document["status"] == "queued"]
    assert [job.document["attempts"] for job in untouched] == [0, 0, 0]


def test_max_jobs_of_a_prefetching_worker_all_run(bench: Bench, queue: Queue) -> None:
    """Prefetched jobs count towards the limit, and each of them runs before the worker ends."""
    add_all(queue, 40)
    executor = FakeExecutor(prefetch=8)

    report = bench.drain(executor, max_jobs=25, concurrency=2)

    assert report.ended_because == "max_jobs"
    assert len(executor.ran) == report.counters["succeeded"] == 25
    assert report.counters.get("requeued", 0) == 0


def test_no_more_than_concurrency_run_at_once(bench: Bench, queue: Queue) -> None:
    """With concurrency 3, the fourth job starts only when one of the first three has ended."""
    add_all(queue, 10)
    gate = Gate()
    executor = FakeExecutor(gate)
    with bench.running(executor, concurrency=3, linger_seconds=0) as running:
        for _ in range(3):
            gate.arrived()
        assert len(executor.ran) == 3
        gate.open()
        running.report()
    assert executor.max_running == 3
    assert len(executor.ran) == 10


def test_a_family_uses_no_more_than_its_slots(bench: Bench, queue: Queue) -> None:
    """A family with one slot runs one job at a time, and another family uses the other slots."""
    add_all(queue, 4, "gate")
    add_all(queue, 4, "figma")
    gates = Gate(), Gate()
    heavy, light = FakeExecutor(gates[0], family="gate", slots=1), FakeExecutor(gates[1], family="figma")
    with bench.running(heavy, light, concurrency=4, linger_seconds=0) as running:
        gates[0].arrived()
        for _ in range(3):
            gates[1].arrived()
        for gate in gates:
            gate.open()
        running.report()
    assert heavy.max_running == 1
    assert light.max_running <= 4
    assert (len(heavy.ran), len(light.ran)) == (4, 4)


def test_families_without_an_executor_are_not_claimed(bench: Bench, queue: Queue) -> None:
    """A figma job waits for a worker that can run it."""
    job = add(queue, "figma")
    assert bench.drain(FakeExecutor()).ended_because == "drained"
    assert look(queue, job)["status"] == "queued"


def test_an_executor_that_cannot_start_claims_nothing(bench: Bench, queue: Queue) -> None:
    """ExecutorUnavailable is raised by run(), the job is unchanged, and no worker is registered."""

    class Broken(FakeExecutor):
        async def start(self) -> None:
            raise ExecutorUnavailable("There is no browser: install one.")

    job, broken = add(queue), Broken()
    with pytest.raises(ExecutorUnavailable):
        bench.drain(broken)
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("queued", 0)
    assert broken.stops == 1
    assert queue.list_workers() == []


def test_the_time_limit_ends_claiming_and_not_the_jobs(bench: Bench, queue: Queue) -> None:
    """After run_seconds, the running job still succeeds, and the next one stays queued."""
    first, second = add(queue), add(queue)
    gate = Gate()
    with bench.running(FakeExecutor(gate), concurrency=1, run_seconds=0.5) as running:
        gate.arrived()
        eventually(lambda: running.events_of(EventKind.STAGE_FINISHED), "the claim stage ended")
        gate.open()
        assert running.report().ended_because == "run_seconds"
    assert look(queue, first)["status"] == "succeeded"
    assert look(queue, second)["status"] == "queued"


def test_the_stages_end_in_order_and_every_job_is_reported(bench: Bench, queue: Queue) -> None:
    """Each job has events for claim, execution and settlement, and each stage reports its end in order."""
    job = add(queue)
    with bench.running(FakeExecutor(), linger_seconds=0) as running:
        running.report()
    kinds = [event.kind for event in running.events if event.job and event.job.id == job]
    assert kinds == [EventKind.CLAIMED, EventKind.EXECUTED, EventKind.SETTLED]
    assert [event.stage for event in running.events_of(EventKind.STAGE_FINISHED)] == [
        Stage.CLAIM,
        Stage.EXECUTE,
        Stage.UPLOAD,
    ]
    assert all(event.message.endswith(".") for event in running.events)


def test_a_drain_ends_only_when_nothing_is_due(bench: Bench, queue: Queue) -> None:
    """A family with one slot and a prefetching one have more jobs than one claim takes: all of them run."""
    narrow = add_all(queue, 5, "narrow")
    wide = add_all(queue, 60, "wide")
    report = bench.drain(
        FakeExecutor(family="narrow", slots=1),
        FakeExecutor(family="wide", prefetch=8),
        concurrency=4,
        poll_seconds=3600,
    )
    assert report.counters["succeeded"] == 65
    assert {row.document["status"] for row in queue.get_jobs([*narrow, *wide])} == {"succeeded"}


def test_a_drain_waits_for_held_jobs(bench: Bench, queue: Queue) -> None:
    """A job that is enqueued by the last running one is run too."""
    added: list[UUID] = []

    async def enqueue_another(job: Job, workspace: Workspace) -> ExecutionResult:
        if not added:
            added.append(add(queue))
        return ExecutionResult()

    add(queue)
    report = bench.drain(FakeExecutor(enqueue_another), poll_seconds=3600)
    assert report.counters["succeeded"] == 2
    eventually(lambda: look(queue, added[0])["status"] == "succeeded", "the second ran")
