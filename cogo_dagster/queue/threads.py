"""Waiting for work that cannot be interrupted, in threads that the end of the process does not wait for.

The threads of `concurrent.futures` are joined at exit, however long they are stuck.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """A few daemon threads.

    Args:
        name: Of the threads, before their number.
        most: Threads at once; each is started when it is first needed.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        self._started = 0
        self._idle = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run the work, which must not raise, in a thread as soon as one is free.

        Raises:
            RuntimeError: The system gives the process no thread; the work will not run.
        """
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._started < self._most:
                Thread(target=self._run, name=f"{self._name}-{self._started + 1}", daemon=True).start()
                self._started += 1
            self._work.put(work)

    def close(self) -> None:
        """Let the threads end after the work submitted so far; none is waited for."""
        for _ in range(self._most):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                if self._work.qsize() == 0:
                    self._idle += 1


def started(work: Callable[[], T]) -> "Future[T]":
    """Start the work in a daemon thread of its own."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody can cancel it: the thread will set its result

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)
        else:
            future.set_result(result)

    threads = DaemonThreads("cogo-wait", 1)
    threads.submit(run)
    threads.close()
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
    future = started(work)
    try:
        return future.result(seconds)
    except BaseException:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise


async def in_daemon_thread(work: Callable[[], T], discard: Callable[[T], object] = lambda _: None) -> T:
    """Await the work done in a daemon thread; cancelling gives it up, and a result that comes later is discarded."""
    future = started(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise
