"""Every return value, exception and task cancellation of an executor becomes an outcome of its job only."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, cast
from uuid import UUID

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job
from cogo_dagster.queue.worker import EventKind, EventObserver, execute
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import Body, FakeExecutor

Wrong = cast("Any", None)


class Unprintable(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Foreign(BaseException):
    """A BaseException, as the outcomes of pytest and of some libraries are."""


class Evil(dict[str, int]):
    """A dictionary that raises when it is read."""

    def items(self) -> NoReturn:
        """Raise."""
        raise LookupError("not today")

    values = keys = __iter__ = items


async def cancel_itself(job: Job, workspace: Workspace) -> ExecutionResult:
    """Cancel the current task, and wait for the cancellation."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)
    raise AssertionError("unreachable")


def raising(problem: Callable[[], BaseException]) -> Body:
    """Return an execution that raises the exception."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        raise problem()

    return body


def returning(make: Callable[[Workspace], object]) -> Body:
    """Return an execution that returns the value."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        return cast("ExecutionResult", make(workspace))

    return body


def a_path(workspace: Workspace) -> Path:
    """Write a file."""
    path = workspace.folder / "a.txt"
    path.write_text("a")
    return path


ENDINGS: dict[str, tuple[Body, str, str]] = {
    "unprintable": (raising(Unprintable), "queued", "Unprintable"),
    "base_exception": (raising(Foreign), "queued", "Foreign"),
    "group": (raising(lambda: BaseExceptionGroup("several", [Foreign()])), "queued", "BaseExceptionGroup"),
    "generator_exit": (raising(GeneratorExit), "queued", "GeneratorExit"),
    "keyboard_interrupt": (raising(KeyboardInterrupt), "queued", "KeyboardInterrupt"),
    "stop_iteration": (raising(StopIteration), "queued", "RuntimeError"),
    "memory": (raising(MemoryError), "queued", "MemoryError"),
    "recursion": (raising(RecursionError), "queued", "RecursionError"),
    "cancels_itself": (cancel_itself, "queued", "CancelledError"),
    "interrupted": (raising(Interrupted), "queued", "interrupted"),
    "no_message": (raising(lambda: ExecutionFailed(Wrong, error_class="odd", retryable=True)), "queued", "odd"),
    "no_class": (raising(lambda: ExecutionFailed("m", error_class=Wrong, retryable=True)), "queued", "failed"),
    "long_class": (raising(lambda: ExecutionFailed("m", error_class="c" * 10**6, retryable=True)), "queued", "c" * 100),
    "no_delay": (raising(lambda: Snooze("later", delay_seconds=Wrong)), "failed", "invalid_outcome"),
    "nan_delay": (raising(lambda: Snooze("later", delay_seconds=math.nan)), "failed", "invalid_outcome"),
    "text_delay": (raising(lambda: Snooze("later", delay_seconds=cast("Any", "5"))), "failed", "invalid_outcome"),
    "nothing": (returning(lambda _: None), "failed", "invalid_outcome"),
    "a_number": (returning(lambda _: 5), "failed", "invalid_outcome"),
    "evil_result": (returning(lambda _: ExecutionResult(Evil(a=1))), "queued", "LookupError"),
    "no_artifacts": (returning(lambda _: ExecutionResult(artifacts=Wrong)), "failed", "invalid_outcome"),
    "other_artifacts": (returning(lambda _: ExecutionResult(artifacts=[Wrong])), "failed", "invalid_outcome"),
    "path_as_text": (
        returning(lambda w: ExecutionResult(artifacts=[ArtifactFile("a", "text/plain", cast("Any", str(a_path(w))))])),
        "failed",
        "artifact_rejected",
    ),
    "path_with_nul": (
        returning(lambda _: ExecutionResult(artifacts=[ArtifactFile("a", "text/plain", Path("a\0b"))])),
        "failed",
        "artifact_rejected",
    ),
    "name_is_none": (
        returning(lambda w: ExecutionResult(artifacts=[ArtifactFile(Wrong, "text/plain", a_path(w))])),
        "failed",
        "artifact_rejected",
    ),
}


def test_every_ending_becomes_an_outcome(bench: Bench, queue: Queue) -> None:
    """Each job is retried or failed with one attempt counted, the job after it succeeds, and the worker continues."""

    async def end(job: Job, workspace: Workspace) -> ExecutionResult:
        body, *_ = ENDINGS[job.payload["ending"]]
        return await body(job, workspace)

    odd: dict[str, UUID] = {}
    for ending in ENDINGS:
        odd[ending] = add(queue, "odd", payload={"ending": ending})
        add(queue, "plain")
    plain = FakeExecutor(family="plain")
    report = bench.drain(FakeExecutor(end, family="odd"), plain, concurrency=1)
    rows = {ending: look(queue, job) for ending, job in odd.items()}
    found = {ending: (row["status"], row["attempts"], row["error"]["class"]) for ending, row in rows.items()}
    assert found == {ending: (status, 1, error_class) for ending, (_, status, error_class) in ENDINGS.items()}
    assert report.counters["succeeded"] == len(plain.ran) == len(ENDINGS)
    assert report.ended_because == "drained"


def test_a_huge_error_message_is_truncated(bench: Bench, queue: Queue) -> None:
    """A message of 50 MB costs no more than the stored part."""
    job = add(queue)
    bench.drain(FakeExecutor(raising(lambda: ValueError("word " * 10**7))))
    error = look(queue, job)["error"]
    assert len(error["message"]) <= 2_000
    assert len(error["detail"]) <= 20_000


def test_a_payload_that_cannot_be_decoded_fails_its_job_only(bench: Bench, queue: Queue, owner: Any) -> None:
    """A number of 5,000 digits and 1,200 levels of nesting fail as unreadable; the next job runs."""
    jobs = [add(queue), add(queue)]
    plain = add(queue)
    owner.execute("update jobs set payload = '{\"n\": 1e5000}' where id = %s", [jobs[0]])
    owner.execute(
        "update jobs set payload = jsonb_build_object('d', (repeat('[', 1200) || %s)::jsonb) where id = %s",
        ["]" * 1200, jobs[1]],
    )
    executor = FakeExecutor()
    bench.drain(executor)
    rows = [look(queue, job) for job in jobs]
    assert [(row["status"], row["error"]["class"]) for row in rows] == [("failed", "unreadable")] * 2
    assert (look(queue, plain)["status"], [job.id for job in executor.ran]) == ("succeeded", [plain])


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Body]:
    """Return an execution that ignores its cancellation until the end of the test; workers use short timeouts."""
    monkeypatch.setattr(execute, "_TIMEOUT_MARGIN_SECONDS", 0.1)
    monkeypatch.setattr(execute, "_CANCELLATION_SECONDS", 0.1)
    end = threading.Event()

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        while not end.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue
        return ExecutionResult("too late")

    yield body
    end.set()


def test_an_execution_that_never_ends_is_settled_without_it(bench: Bench, queue: Queue, stubborn: Body) -> None:
    """It is cancelled at its deadline and does not end: the attempt counts as timed out, and the other slot is used."""
    job = add(queue, "stubborn", timeout_seconds=0.1)
    executors = FakeExecutor(stubborn, family="stubborn"), FakeExecutor(family="plain")
    with bench.running(*executors, concurrency=3) as running:
        eventually(lambda: look(queue, job)["error"], "the job was settled")
        row = look(queue, job)
        assert (row["error"]["class"], row["attempts"]) == ("timeout", 1)
        plain = add(queue, "plain")
        eventually(lambda: look(queue, plain)["status"] == "succeeded", "the other family was served")
        assert any("slot is lost" in event.message for event in running.events_of(EventKind.WARNING))
    assert look(queue, job)["result"] is None


def test_a_worker_that_lost_half_of_its_slots_ends(bench: Bench, queue: Queue, stubborn: Body) -> None:
    """Executions that do not end occupy the slots: the worker finishes the others, reports `slots_lost` and ends."""
    job = add(queue, timeout_seconds=0.1)
    with bench.running(FakeExecutor(stubborn), concurrency=2) as running:
        assert running.report().ended_because == "slots_lost"
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("queued", 1)


def test_every_attempt_has_a_deadline(bench: Bench, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job without a timeout is cancelled after the worker's."""
    monkeypatch.setattr(execute, "_TIMEOUT_MARGIN_SECONDS", 0.0)

    async def forever(job: Job, workspace: Workspace) -> ExecutionResult:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    job = add(queue)
    bench.drain(FakeExecutor(forever), job_timeout_seconds=0.2)
    error = look(queue, job)["error"]
    assert (error["class"], error["message"]) == ("timeout", "The job ran longer than its timeout of 0.2 s.")


def test_an_executor_that_blocks_the_loop_costs_no_other_lease(bench: Bench, queue: Queue) -> None:
    """Leases are renewed on a separate thread, and the worker logs the stack of the blocking code."""
    neighbour_runs = threading.Event()

    async def wait_long(job: Job, workspace: Workspace) -> ExecutionResult:
        neighbour_runs.set()
        await asyncio.sleep(0.1)
        return ExecutionResult("done")

    async def block(job: Job, workspace: Workspace) -> ExecutionResult:
        time.sleep(5)  # noqa: ASYNC251 - the fault under test
        return ExecutionResult("blocked")

    jobs = [add(queue, "neighbour"), add(queue, "blocking")]
    with bench.running(
        FakeExecutor(wait_long, family="neighbour"), FakeExecutor(block, family="blocking"), lease_seconds=3, max_jobs=2
    ) as running:
        eventually(lambda: running.events_of(EventKind.WARNING), "the block was logged")
        assert queue.recover().changed == 0
        report = running.report()
    assert {(row.document["status"], row.document["attempts"]) for row in queue.get_jobs(jobs)} == {("succeeded", 1)}
    assert report.counters.get("lease_lost", 0) == 0
    assert any("time.sleep(5)" in event.message for event in running.events_of(EventKind.WARNING))


def test_an_observer_that_fails_costs_no_job(bench: Bench, queue: Queue) -> None:
    """A log that cannot be written does not end the worker."""
    job = add(queue)
    running = bench.worker(FakeExecutor(), linger_seconds=0)

    def broken(event: object) -> None:
        raise OSError("no space left on device")

    running.worker._state.observer = EventObserver(broken)
    running.start()
    assert running.report().counters["succeeded"] == 1
    assert look(queue, job)["status"] == "succeeded"
