"""Graceful shutdown and force stop: jobs finish or are requeued with their attempt, within a limited time."""

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


def is_requeued(job: Json) -> bool:
    """Whether a job looks as if it had never been claimed."""
    return (job["status"], job["attempts"], job["lease_expires_at"]) == ("queued", 0, None)


def test_running_jobs_may_finish_within_the_grace_period(bench: Bench, queue: Queue) -> None:
    """After the request nothing more is claimed, and the running job succeeds."""
    first, second = add(queue), add(queue)
    gate = Gate()
    with bench.running(FakeExecutor(gate), concurrency=1, grace_seconds=FOREVER) as running:
        gate.arrived()
        running.worker.request_stop()
        eventually(lambda: running.events_of(EventKind.STAGE_FINISHED), "the claims ended")
        gate.open()
        report = running.report()
    assert report.ended_because == "stopped"
    assert look(queue, first)["status"] == "succeeded"
    assert is_requeued(look(queue, second))


def test_jobs_are_requeued_after_the_grace_period(bench: Bench, queue: Queue) -> None:
    """The execution is cancelled, and the job queued again with its attempt and without a lease."""
    jobs, gate = [add(queue), add(queue)], Gate()
    with bench.running(FakeExecutor(gate), concurrency=2) as running:
        gate.arrived(), gate.arrived()
        running.worker.request_stop(grace_seconds=0.1)
        report = running.report()
    assert all(is_requeued(job.document) for job in queue.get_jobs(jobs))
    assert (report.ended_because, report.counters["requeued"]) == ("stopped", 2)
    assert sorted(job.id for job in gate.cancelled) == sorted(jobs)
    [attempt] = look(queue, jobs[0])["superseded_attempts"]
    assert attempt["outcome"] == "released"


def test_a_second_stop_request_forces_the_stop(bench: Bench, queue: Queue) -> None:
    """A second request within a long grace period requeues running jobs at once."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), grace_seconds=FOREVER) as running:
        gate.arrived()
        running.worker.request_stop()
        eventually(lambda: running.events_of(EventKind.STAGE_FINISHED), "the claims ended")
        running.worker.request_stop()
        running.report()
    assert is_requeued(look(queue, job))


def test_a_stop_before_the_start_claims_nothing(bench: Bench, queue: Queue) -> None:
    """A worker that is asked to stop before it runs ends at once."""
    job = add(queue)
    running = bench.worker(FakeExecutor())
    running.worker.request_stop()
    running.start()
    assert running.report().ended_because == "stopped"
    assert is_requeued(look(queue, job))


def test_an_idle_worker_stops_at_once(bench: Bench) -> None:
    """A worker that waits between two polls an hour apart does not wait for the next one."""
    with bench.running(FakeExecutor(), poll_seconds=FOREVER) as running:
        eventually(lambda: bench.queue.list_workers(alive_only=True), "the worker registered")
        running.worker.request_stop()
        assert running.report(seconds=20).ended_because == "stopped"


def test_an_execution_that_fails_while_it_is_cancelled_is_requeued(bench: Bench, queue: Queue) -> None:
    """The failure is an effect of the cancellation: the attempt is not counted."""
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
    assert is_requeued(look(queue, job))
    assert report.counters["requeued"] == 1


def test_an_executor_that_ignores_its_cancellation_is_abandoned(
    bench: Bench, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop waits for a limited time; the worker's last call requeues the job, and its late end is ignored."""
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
            eventually(lambda: is_requeued(look(queue, job)), "the job was requeued")
            eventually(lambda: queue.list_workers()[0].document["stopped_at"], "the worker deregistered")
            end.set()
            assert running.report().counters["requeued"] == 1
    finally:
        end.set()
    assert is_requeued(look(queue, job))


def test_a_stop_deregisters_the_worker(bench: Bench, queue: Queue) -> None:
    """The worker's row is stopped, neither alive nor idle, with its last counters."""
    add(queue)
    bench.drain(FakeExecutor())
    [worker] = queue.list_workers()
    assert worker.document["stopped_at"] is not None
    assert (worker.document["alive"], worker.document["idle"], worker.document["running"]) == (False, False, 0)
    assert worker.document["counters"]["succeeded"] == 1
