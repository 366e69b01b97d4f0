"""A job that may be what ends its workers runs alone."""

import asyncio
from uuid import UUID

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster_tests.conftest import Lose
from cogo_dagster_tests.queue.steps import add, add_all, look, take
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate


def lose_twice(queue: Queue, lose: Lose, job: UUID) -> None:
    """Let two workers in a row die with this job."""
    for _ in range(2):
        assert [taken.id for taken in take(queue, 1)] == [job]
        lose(job)


@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_job_lost_twice_in_a_row_runs_alone(bench: Bench, queue: Queue, lose: Lose, prefetch: int) -> None:
    """It waits until the other jobs have ended, and nothing is claimed until it has; then claims resume."""
    suspect = add(queue, priority=0)
    lose_twice(queue, lose, suspect)
    others = add_all(queue, 12)
    beside: dict[UUID, int] = {}

    async def count(job: Job, workspace: Workspace) -> ExecutionResult:
        beside[job.id] = executor.running
        await asyncio.sleep(0)
        beside[job.id] = max(beside[job.id], executor.running)
        return ExecutionResult()

    executor = FakeExecutor(count, prefetch=prefetch)
    bench.drain(executor, concurrency=4)
    assert beside[suspect] == 1
    assert {row.document["status"] for row in queue.get_jobs([suspect, *others])} == {"succeeded"}


def test_a_job_that_waits_to_run_alone_is_requeued_at_a_stop(bench: Bench, queue: Queue, lose: Lose) -> None:
    """The worker stops while the job waits for another one: both are requeued with their attempts."""
    suspect, gate = add(queue, priority=9), Gate()
    lose_twice(queue, lose, suspect)
    first = add(queue, priority=0)
    executor = FakeExecutor(gate)
    with bench.running(executor, concurrency=4) as running:
        gate.arrived()
        eventually(lambda: look(queue, suspect)["status"] == "running", "the job is held")
        running.worker.request_stop(0)
        running.report()
    assert [(look(queue, job)["status"], look(queue, job)["attempts"]) for job in (first, suspect)] == [
        ("queued", 0),
        ("queued", 2),
    ]
    assert [job.id for job in executor.ran] == [first]
