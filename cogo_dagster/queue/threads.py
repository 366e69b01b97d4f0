"""Waiting for work that cannot be interrupted, in threads that the end of the process does not wait for.

The threads of `concurrent.futures` are joined at exit, however long they are stuck.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T]) -> "Future[T]":
    """Begin the work in a daemon thread of its own."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody can cancel it: the thread will set its result

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=run, name="cogo-wait", daemon=True).start()
    return future


def within(seconds: float, work: Callable[[], T], discard: Callable[[T], object]) -> T:
    """Do the work in a daemon thread and return its result.

    Args:
        seconds: Longest wait.
        work: Called once.
        discard: Given a result that comes too late.

    Raises:
        TimeoutError: There is no result yet.
    """
    future = begun(work)
    try:
        return future.result(seconds)
    except BaseException:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise


async def in_daemon_thread(work: Callable[[], T], discard: Callable[[T], object] = lambda _: None) -> T:
    """Await the work done in a daemon thread; cancelling gives it up, and a result that comes later is discarded."""
    future = begun(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise
