"""Waits for Playwright calls with a timeout, without cancelling them: Playwright does not support cancellation."""

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ANY_STACK: Final = traceback.extract_stack(limit=1)


class StepTimeout(Exception):
    """A call timed out; it continues in its own task until its page is closed."""


class StepBroken(StepTimeout):
    """A call was abandoned because its event can no longer happen; it continues in its own task too."""


def begin(call: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start a Playwright call in its own task; asyncio logs no exception of it."""
    task = asyncio.ensure_future(call)
    task.add_done_callback(retrieve_exception)
    skip_stacks(task)
    return task


def skip_stacks(task: "asyncio.Task[Any] | None") -> None:
    """Give Playwright one stack for all messages of a task: a copy for each takes a tenth of a job's Python time.

    It is only an attribute of errors. Names of calls, and the locations in traces, are determined separately.
    """
    setattr(task, "__pw_stack_trace__", _ANY_STACK)  # noqa: B010 - Playwright's own attribute, which no type declares


async def unless_broken(call: Coroutine[Any, Any, T], broken: "asyncio.Future[str]") -> T:
    """Return what *call* returns.

    Raises:
        StepBroken: *broken* was resolved first; the message is its result.
    """
    task = begin(call)
    waiting: set[asyncio.Future[Any]] = {task, broken}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        raise StepBroken(broken.result())
    return task.result()


async def with_timeout(call: Coroutine[Any, Any, T] | asyncio.Task[T], timeout_seconds: float) -> T:
    """Return what *call* returns, with a timeout for calls that have none.

    Raises:
        StepTimeout: The call took longer than *timeout_seconds*.
    """
    task = call if isinstance(call, asyncio.Task) else begin(call)
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        raise StepTimeout(f"Timeout {timeout_seconds * 1000:.0f}ms exceeded.")
    return task.result()


async def ends_within(call: Coroutine[Any, Any, Any], timeout_seconds: float) -> bool:
    """Wait for *call* to end, with or without an error; return False on a timeout."""
    task = begin(call)
    await asyncio.wait({task}, timeout=timeout_seconds)
    return task.done()


def retrieve_exception(task: "asyncio.Future[Any]") -> None:
    """Retrieve the exception, so that asyncio does not log it for a task that is not awaited."""
    if not task.cancelled():
        task.exception()
