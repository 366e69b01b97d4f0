"""Wait for Playwright calls without ever cancelling one, which Playwright does not support."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StepTimeout(Exception):
    """A call did not end in time; it goes on in its own task until its page is closed."""


class StepBroken(StepTimeout):
    """A call was given up because what it waits for cannot happen any more; it goes on likewise."""


async def unless(call: Coroutine[Any, Any, T], broken: "asyncio.Future[str]") -> T:
    """Return what *call* returns.

    Raises:
        StepBroken: *broken* was given its reason first.
    """
    task = asyncio.ensure_future(call)
    task.add_done_callback(read_error)
    waiting: set[asyncio.Future[Any]] = {task, broken}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        raise StepBroken(broken.result())
    return task.result()


async def bounded(call: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
    """Return what *call* returns, for calls that have no timeout of their own.

    Raises:
        StepTimeout: It took longer than *timeout_seconds*.
    """
    task = asyncio.ensure_future(call)
    task.add_done_callback(read_error)
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        raise StepTimeout(f"Timeout {timeout_seconds * 1000:.0f}ms exceeded.")
    return task.result()


async def settled(call: Coroutine[Any, Any, Any], timeout_seconds: float) -> bool:
    """Wait until *call* has ended, well or not; return whether it did in time."""
    task = asyncio.ensure_future(call)
    task.add_done_callback(read_error)
    await asyncio.wait({task}, timeout=timeout_seconds)
    return task.done()


def read_error(task: "asyncio.Future[Any]") -> None:
    """Mark the exception as seen, so that asyncio does not log a task that nobody waits for."""
    if not task.cancelled():
        task.exception()
