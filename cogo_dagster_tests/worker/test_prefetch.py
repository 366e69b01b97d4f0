"""Prefetching: starts are recorded before jobs run, and jobs that never started are not charged."""

import time
from collections.abc import Mapping
from uuid import UUID

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import EventKind
from cogo_dagster_tests.conftest import Lose, Owner
from cogo_dagster_tests.queue.steps import add_all, look
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate
from cogo_dagster_tests.worker.faults import Watched


def test_all_prefetched_jobs_run_once(bench: Bench, queue: Queue) -> None:
    """Many jobs of a prefetching executor run once each, within the concurrency."""
    jobs = add_all(queue, 200)
    executor = FakeExecutor(prefetch=20)
    report = bench.drain(executor, concurrency=3)
    assert report.counters["succeeded"] == 200
    assert sorted(job.id for job in executor.ran) == sorted(jobs)
    assert executor.max_running <= 3
    assert {job.document["attempts"] for job in queue.get_jobs(jobs)} == {1}


def test_a_start_is_recorded_before_the_job_runs(bench: Bench, queue: Queue, owner: Owner) -> None:
    """Whenever a prefetched job runs, the worker's row names it already."""
    add_all(queue, 12)
    unrecorded: list[UUID] = []

    async def check(job: Job, workspace: Workspace) -> ExecutionResult:
        query = (
            "select j.started_at is not null or j.id = any (w.started_job_ids)"
            " from public.jobs j join public.workers w using (instance_id) where j.id = %s"
        )
        if owner.execute(query, (job.id,)).fetchone() != (True,):
            unrecorded.append(job.id)
        return ExecutionResult()

    executor = FakeExecutor(check, prefetch=6)
    bench.drain(executor, concurrency=2)
    assert len(executor.ran) == 12
    assert unrecorded == []


def test_a_worker_does_not_end_while_starts_are_being_recorded(bench: Bench, transport: Transport) -> None:
    """The last jobs, whose start is being recorded, still run."""

    def slow_start(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "start_jobs":
            time.sleep(0.3)

    add_all(bench.queue, 2)
    gate = Gate()
    slow = Queue(Watched(transport, slow_start))
    with bench.running(FakeExecutor(gate, prefetch=8), queue=slow, concurrency=1, max_jobs=2) as running:
        gate.arrived()
        eventually(lambda: running.events_of(EventKind.STAGE_FINISHED), "both jobs were claimed")
        gate.open()
        report = running.report()
    assert report.counters["succeeded"] == 2
    assert report.counters.get("requeued", 0) == 0


def test_a_prefetched_job_that_never_started_is_not_charged(bench: Bench, queue: Queue, lose: Lose) -> None:
    """When a worker dies, recovery counts the attempts of jobs that ran, and not of those that waited."""
    jobs = add_all(queue, 8)
    gate = Gate()
    with bench.running(FakeExecutor(gate, prefetch=6), concurrency=2, lease_seconds=3600):
        begun = {gate.arrived().id, gate.arrived().id}
        eventually(lambda: queue.stats().document["running"] == 8, "the others were prefetched")
        lose(*jobs)
    assert {job: look(queue, job)["attempts"] for job in jobs} == {job: int(job in begun) for job in jobs}


def test_waiting_jobs_are_requeued_at_a_stop(bench: Bench, queue: Queue) -> None:
    """Prefetched and running jobs are requeued without counting their attempts."""
    jobs = add_all(queue, 8)
    gate = Gate()
    with bench.running(FakeExecutor(gate, prefetch=6), concurrency=2) as running:
        gate.arrived(), gate.arrived()
        eventually(lambda: queue.stats().document["running"] == 8, "the others were prefetched")
        running.worker.request_stop(0)
        assert running.report().counters["requeued"] == 8
    assert {(job.document["status"], job.document["attempts"]) for job in queue.get_jobs(jobs)} == {("queued", 0)}
    assert len(gate.cancelled) == 2
