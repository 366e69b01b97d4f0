"""Invalid endings of executions: each must become an outcome of its own job and affect no other."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from cogo_dagster.queue.executor import ExecutionFailed, Interrupted, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult

Ending = Callable[[Workspace], Awaitable[ExecutionResult]]


class _Unprintable(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("no text")


class _Foreign(BaseException):
    """A BaseException, as pytest's outcomes are."""


def _raising(make: Callable[[], BaseException]) -> Ending:
    async def ending(workspace: Workspace) -> ExecutionResult:
        raise make()

    return ending


def _returning(make: Callable[[Workspace], Any]) -> Ending:
    async def ending(workspace: Workspace) -> ExecutionResult:
        return cast("ExecutionResult", make(workspace))

    return ending


def _fifo(workspace: Workspace) -> ExecutionResult:
    path = workspace.folder / "fifo"
    os.mkfifo(path)
    return ExecutionResult({}, [ArtifactFile("fifo", "text/plain", path)])


def _file(path: Any, name: str = "a.txt") -> ExecutionResult:
    return ExecutionResult({}, [ArtifactFile(name, "text/plain", path)])


def _deep() -> Any:
    value: Any = 1
    for _ in range(5_000):
        value = [value]
    return value


async def _cancels_itself(workspace: Workspace) -> ExecutionResult:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)
    return ExecutionResult({})


async def _blocks(workspace: Workspace) -> ExecutionResult:
    time.sleep(2)  # noqa: ASYNC251 - the injected fault
    raise ExecutionFailed("It blocked the loop.", error_class="blocked", retryable=False)


async def _deafens(workspace: Workspace) -> ExecutionResult:
    for _ in range(40):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    raise ExecutionFailed("It ignored every cancellation.", error_class="deaf", retryable=False)


async def _kills_the_worker(workspace: Workspace) -> ExecutionResult:
    os._exit(77)


KILLS: Final = "kills the worker"
SLOW: Final = ("blocks the loop", "ignores its cancellation")

ENDINGS: Final[Mapping[str, Ending]] = {
    "returns none": _returning(lambda _: None),
    "returns text": _returning(lambda _: "done"),
    "returns nan": _returning(lambda _: ExecutionResult({"a": float("nan")})),
    "returns a set": _returning(lambda _: ExecutionResult(cast("Any", {1, 2}))),
    "returns depth": _returning(lambda _: ExecutionResult(_deep())),
    "returns a huge number": _returning(lambda _: ExecutionResult(10**6_000)),
    "returns surrogates": _returning(lambda _: ExecutionResult({"\ud800": "\x00\udfff"})),
    "leaves a path of text": _returning(lambda _: _file("a string")),
    "leaves a path of nul": _returning(lambda _: _file(Path("a\x00b"))),
    "leaves a fifo": _returning(_fifo),
    "leaves a folder": _returning(lambda workspace: _file(workspace.folder)),
    "leaves no file": _returning(lambda workspace: _file(workspace.folder / "missing")),
    "leaves a device": _returning(lambda _: _file(Path("/dev/full"))),
    "leaves a long name": _returning(lambda workspace: _file(workspace.folder, "x" * 100_000)),
    "leaves numbers": _returning(lambda _: ExecutionResult({}, cast("Any", [1, 2]))),
    "raises unprintably": _raising(_Unprintable),
    "raises a base exception": _raising(_Foreign),
    "raises a group": _raising(lambda: BaseExceptionGroup("g", [_Foreign(), KeyboardInterrupt()])),
    "raises system exit": _raising(lambda: SystemExit(3)),
    "raises keyboard interrupt": _raising(KeyboardInterrupt),
    "raises generator exit": _raising(GeneratorExit),
    "raises stop iteration": _raising(StopIteration),
    "raises interrupted": _raising(Interrupted),
    "raises recursion": _raising(RecursionError),
    "raises a long text": _raising(lambda: ValueError("a-" * 7_000)),
    "raises a longer text": _raising(lambda: ValueError("x" * 5_000_000)),
    "raises a wrong snooze": _raising(lambda: Snooze(cast("Any", None), delay_seconds=cast("Any", None))),
    "raises an endless snooze": _raising(lambda: Snooze("no number", delay_seconds=float("nan"))),
    "raises a wrong failure": _raising(
        lambda: ExecutionFailed(cast("Any", None), error_class=cast("Any", None), retryable=False)
    ),
    "raises a long class": _raising(lambda: ExecutionFailed("m", error_class="c" * 1_000_000, retryable=False)),
    "cancels itself": _cancels_itself,
    "blocks the loop": _blocks,
    "ignores its cancellation": _deafens,
    KILLS: _kills_the_worker,
}
