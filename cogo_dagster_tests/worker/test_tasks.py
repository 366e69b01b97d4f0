"""Tasks that execute several jobs: no job sees the context or the cancellation of another, and none is forgotten."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json, NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.bench import Bench
from cogo_dagster_tests.worker.executors import FakeExecutor
from cogo_dagster_tests.worker.faults import Watched

SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


def test_a_context_variable_is_not_seen_by_the_next_job(bench: Bench, queue: Queue) -> None:
    """Whether a job suspends or not."""
    values: list[str] = []

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        values.append(SEEN.get())
        if job.payload["suspends"]:
            await asyncio.sleep(0)
        SEEN.set(str(job.id))
        return ExecutionResult()

    queue.enqueue([NewJob("browser", {"suspends": n % 3 == 0}) for n in range(30)])
    bench.drain(FakeExecutor(body), concurrency=4)
    assert values == ["nothing"] * 30


def test_a_job_that_cancels_its_task_does_not_cancel_the_next(bench: Bench, queue: Queue) -> None:
    """The cancellation is delivered at the next await of the task, which belongs to no later job."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        task = asyncio.current_task()
        if job.payload["cancels"] and task is not None:
            task.cancel()
        return ExecutionResult()

    ids = [
        enqueued.job_id for enqueued in queue.enqueue([NewJob("browser", {"cancels": n % 2 == 0}) for n in range(20)])
    ]
    bench.drain(FakeExecutor(body), concurrency=3)
    assert {look(queue, job_id)["status"] for job_id in ids} == {"succeeded"}


def test_a_job_that_cancels_every_task_leaves_none_waiting(bench: Bench, queue: Queue) -> None:
    """Jobs whose task was cancelled before its first step are executed by another."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        if job.payload["cancels"]:
            current = asyncio.current_task()
            own = [task for task in asyncio.all_tasks() if "_execute_ready" in repr(task) and task is not current]
            for task in own:
                task.cancel()
        await asyncio.sleep(0)
        return ExecutionResult()

    first = add(queue, payload={"cancels": True})
    ids = [enqueued.job_id for enqueued in queue.enqueue([NewJob("browser", {"cancels": False}) for _ in range(10)])]
    bench.drain(FakeExecutor(body), concurrency=4)
    assert {look(queue, job_id)["status"] for job_id in (first, *ids)} <= {"succeeded", "queued", "failed"}
    assert look(queue, first)["status"] == "succeeded"
    assert queue.stats().document["running"] == 0


def test_jobs_that_never_suspend_let_the_event_loop_run(bench: Bench, queue: Queue) -> None:
    """Something else runs at least every few of them, though they would fit into one step of a task."""
    turns = 0
    longest = 0
    since = 0
    other: asyncio.Task[None] | None = None

    async def count() -> None:
        nonlocal turns, since
        while True:
            turns += 1
            since = 0
            await asyncio.sleep(0)

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        nonlocal longest, since, other
        if other is None:
            other = asyncio.create_task(count())
        deadline = asyncio.get_running_loop().time() + 0.002
        while asyncio.get_running_loop().time() < deadline:
            pass
        since += 1
        longest = max(longest, since)
        return ExecutionResult()

    queue.enqueue([NewJob("browser") for _ in range(60)])
    bench.drain(FakeExecutor(body), concurrency=60)
    assert turns > 5
    assert longest < 30


def test_as_many_jobs_run_at_once_as_there_are_slots(bench: Bench, queue: Queue) -> None:
    """A job that suspends does not keep the jobs behind it waiting."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        async with asyncio.timeout(20):
            while executor.max_running < 7:  # noqa: ASYNC110 - other jobs of this loop change it
                await asyncio.sleep(0.005)
        return ExecutionResult()

    executor = FakeExecutor(body)
    ids = [enqueued.job_id for enqueued in queue.enqueue([NewJob("browser") for _ in range(21)])]
    bench.drain(executor, concurrency=7)
    assert executor.max_running == 7
    assert {look(queue, job_id)["status"] for job_id in ids} == {"succeeded"}


def test_a_job_that_is_due_again_is_run_before_the_worker_is_drained(
    bench: Bench, queue: Queue, transport: Transport
) -> None:
    """A claim that finds nothing while a job runs does not count as drained: the job itself may be due again."""
    claims = 0

    def count(function: str, arguments: Mapping[str, Json]) -> None:
        nonlocal claims
        claims += function == "claim_jobs"

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        if len(executor.ran) == 1:
            before = claims
            async with asyncio.timeout(20):
                while claims < before + 2:  # noqa: ASYNC110 - counted in another thread
                    await asyncio.sleep(0.01)
            raise Snooze("Again.", delay_seconds=0)
        return ExecutionResult()

    executor = FakeExecutor(body)
    job_id = add(queue)
    bench.drain(executor, queue=Queue(Watched(transport, count)), concurrency=2, poll_seconds=0.05)
    assert look(queue, job_id)["status"] == "succeeded"
