"""`cogo_dagster.testing`: attempts have the same outcomes as in a worker."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cogo_dagster import (
    ArtifactFile,
    ExecutionFailed,
    ExecutionResult,
    Executor,
    InvalidPayload,
    Job,
    Snooze,
    Workspace,
)
from cogo_dagster.queue.artifacts import upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.testing import InMemoryStore, RunOutcome, run_job
from cogo_dagster_tests.queue.steps import running_job


class Order(BaseModel):
    """The payload: which ending."""

    end: str
    count: int = 1


class Endings(Executor, family="endings"):
    """Ends as its payload says."""

    payload = Order

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def start(self) -> None:
        """Count the start."""
        self.calls.append("start")

    async def stop(self) -> None:
        """Count the stop."""
        self.calls.append("stop")

    async def execute(self, job: Job[Order], workspace: Workspace) -> ExecutionResult:
        """Return or raise the ending."""
        self.calls.append(f"{job.type} {job.attempts}")
        ending: ExecutionResult = ENDINGS[job.payload.end](workspace)
        return ending


def _fail(workspace: Workspace) -> ExecutionResult:
    (workspace.folder / "trace.txt").write_text("why")
    trace = ArtifactFile("trace.txt", "text/plain", workspace.folder / "trace.txt")
    raise ExecutionFailed("It failed.", error_class="broken", retryable=False, delay_seconds=3, artifacts=[trace])


def _snooze(workspace: Workspace) -> ExecutionResult:
    raise Snooze("Later.", delay_seconds=9)


def _outside(workspace: Workspace) -> ExecutionResult:
    link = workspace.folder / "hosts"
    link.symlink_to("/etc/hosts")
    return ExecutionResult({}, [ArtifactFile("hosts", "text/plain", link)])


ENDINGS: Mapping[str, Callable[[Workspace], Any]] = {
    "succeed": lambda _: ExecutionResult({"done": True}),
    "fail": _fail,
    "snooze": _snooze,
    "raise": lambda _: 1 / 0,
    "none": lambda _: None,
    "outside": _outside,
}


@pytest.mark.parametrize(
    ("end", "outcome", "error_class", "retryable"),
    [
        ("succeed", "succeeded", None, None),
        ("fail", "failed", "broken", False),
        ("snooze", "snoozed", "snoozed", True),
        ("raise", "failed", "ZeroDivisionError", True),
        ("none", "failed", "invalid_outcome", False),
        ("outside", "failed", "artifact_rejected", False),
    ],
)
def test_an_ending_has_the_workers_outcome(
    end: str, outcome: str, error_class: str | None, retryable: bool | None
) -> None:
    """Successes, failures, snoozes, exceptions and invalid results are covered."""
    done = run_job(Endings, {"end": end})
    assert done.outcome == outcome
    assert (done.error and done.error.error_class, done.error and done.error.retryable) == (error_class, retryable)


def test_the_result_of_an_attempt_is_complete() -> None:
    """Delay and artifacts of a failure are available, although its workspace is removed."""
    done: RunOutcome = run_job(Endings, {"end": "fail"})
    assert (done.delay_seconds, dict(done.artifacts)) == (3, {"trace.txt": b"why"})


def test_the_executor_is_started_and_stopped() -> None:
    """They are called around the requested attempt."""
    executor = Endings()
    run_job(executor, {"end": "raise"}, type="endings.odd", attempt=2)
    assert executor.calls == ["start", "endings.odd 2", "stop"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, r"The payload has no end\."),
        ({"end": "fail", "count": "x"}, r"The payload's count: Input should be a valid integer.*\."),
        ([], r"The payload must be a JSON object, but it is an array\."),
        (None, r"The payload must be a JSON object, but it is null\."),
    ],
)
def test_an_invalid_payload_has_a_message(payload: Any, message: str) -> None:
    """The model validates it, as at enqueue."""
    with pytest.raises(InvalidPayload, match=f"^{message}$"):
        run_job(Endings, payload)


def test_a_family_is_the_part_before_the_dot() -> None:
    """Another name is a TypeError with a message."""
    with pytest.raises(TypeError, match=r"'a\.b' is not a family"):
        type("Odd", (Executor,), {}, family="a.b")


def test_the_store_in_memory_supports_uploads(queue: Queue, tmp_path: Path) -> None:
    """It stores bytes under generated keys, sweeps and deletes like other stores."""
    (tmp_path / "note.txt").write_text("hello")
    store, job = InMemoryStore(), running_job(queue)
    [row] = upload_artifacts(queue, store, job, [ArtifactFile("note.txt", "text/plain", tmp_path / "note.txt")])
    assert store.open(row["storage_key"]).read() == b"hello"
    assert row["address"].startswith("memory:")
    assert list(store.keys(-1)) == [row["storage_key"]]
    store.delete(row["storage_key"])
    assert list(store.keys(-1)) == []
