"""A stop loses nothing: what can end ends, the rest goes back with its attempt, and nobody waits for ever."""

import asyncio
import threading

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.worker import EventKind, execute
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate

FOREVER = 3600.0


def given_back(job: Json) -> bool:
    """Whether a job is as if it had never been claimed."""
    return (job["status"], job["attempts"], job["lease_expires_at"]) == ("queued", 0, None)


def test_running_jobs_may_finish_within_the_grace(bench: Bench, queue: Queue) -> None:
    """After the request nothing more is claimed, and the running job succeeds."""
    first, second = add(queue), add(queue)
    gate = Gate()
    with bench.running(FakeExecutor(gate), concurrency=1, grace_seconds=FOREVER) as running:
        gate.arrived()
        running.worker.request_stop()
        eventually(lambda: running.told(EventKind.STAGE_FINISHED), "the claims ended")
        gate.open()
        report = running.report()
    assert report.ended_because == "stopped"
    assert look(queue, first)["status"] == "succeeded"
    assert given_back(look(queue, second))


def test_what_outlives_the_grace_is_requeued_with_its_attempt(bench: Bench, queue: Queue) -> None:
    """The execution is cancelled, the job is queued again as if it had never been claimed, its lease is cleared."""
    jobs, gate = [add(queue), add(queue)], Gate()
    with bench.running(FakeExecutor(gate), concurrency=2) as running:
        gate.arrived(), gate.arrived()
        running.worker.request_stop(grace_seconds=0.1)
        report = running.report()
    assert all(given_back(job.document) for job in queue.get_jobs(jobs))
    assert (report.ended_because, report.counters["requeued"]) == ("stopped", 2)
    assert sorted(job.id for job in gate.cancelled) == sorted(jobs)
    [attempt] = look(queue, jobs[0])["superseded_attempts"]
    assert attempt["outcome"] == "released"


def test_a_second_stop_means_now(bench: Bench, queue: Queue) -> None:
    """Within a long grace, asking again requeues what runs at once."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), grace_seconds=FOREVER) as running:
        gate.arrived()
        running.worker.request_stop()
        eventually(lambda: running.told(EventKind.STAGE_FINISHED), "the claims ended")
        running.worker.request_stop()
        running.report()
    assert given_back(look(queue, job))


def test_a_stop_before_the_start_claims_nothing(bench: Bench, queue: Queue) -> None:
    """A worker that is asked to stop before it runs ends at once."""
    job = add(queue)
    running = bench.worker(FakeExecutor())
    running.worker.request_stop()
    running.start()
    assert running.report().ended_because == "stopped"
    assert given_back(look(queue, job))


def test_an_idle_worker_stops_at_once(bench: Bench) -> None:
    """A worker that rests between two polls an hour apart does not wait for the next one."""
    with bench.running(FakeExecutor(), poll_seconds=FOREVER) as running:
        eventually(lambda: bench.queue.list_workers(alive_only=True), "the worker registered")
        running.worker.request_stop()
        assert running.report(seconds=20).ended_because == "stopped"


def test_an_execution_that_breaks_while_it_is_stopped_costs_no_attempt(bench: Bench, queue: Queue) -> None:
    """What fails because we cancelled it did not fail: the attempt is given back."""
    job, gate = add(queue), Gate()

    async def breaks(job: Job, workspace: Workspace) -> ExecutionResult:
        try:
            return await gate(job, workspace)
        except asyncio.CancelledError:
            raise ExecutionFailed("The page was closed.", error_class="closed", retryable=False) from None

    with bench.running(FakeExecutor(breaks)) as running:
        gate.arrived()
        running.worker.request_stop(0)
        report = running.report()
    assert given_back(look(queue, job))
    assert report.counters["requeued"] == 1


def test_an_executor_that_ignores_the_cancellation_is_left_behind(
    bench: Bench, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop waits for it only so long; its job is given back by the worker's last call, and its late end is lost."""
    monkeypatch.setattr(execute, "_CANCELLATION_SECONDS", 0.2)
    job, begun, end = add(queue), threading.Event(), threading.Event()

    async def stubborn(job: Job, workspace: Workspace) -> ExecutionResult:
        begun.set()
        while not end.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        return ExecutionResult("too late")

    try:
        with bench.running(FakeExecutor(stubborn)) as running:
            assert begun.wait(30)
            running.worker.request_stop(0)
            eventually(lambda: given_back(look(queue, job)), "the job was given back")
            eventually(lambda: queue.list_workers()[0].document["stopped_at"], "the worker said goodbye")
            end.set()
            assert running.report().counters["requeued"] == 1
    finally:
        end.set()
    assert given_back(look(queue, job))


def test_a_stop_says_goodbye(bench: Bench, queue: Queue) -> None:
    """The worker's row is stopped, not alive and idle no more; its last counters are there."""
    add(queue)
    bench.drain(FakeExecutor())
    [worker] = queue.list_workers()
    assert worker.document["stopped_at"] is not None
    assert (worker.document["alive"], worker.document["idle"], worker.document["running"]) == (False, False, 0)
    assert worker.document["counters"]["succeeded"] == 1
