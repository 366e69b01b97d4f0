"""Daemon threads for blocking work, which do not delay the end of the process.

The threads of `concurrent.futures` are joined at exit, however long they block.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """A pool of daemon threads.

    Args:
        name: Prefix of the threads' names.
        max_threads: Maximum number of threads; each is started when first needed.
    """

    def __init__(self, name: str, max_threads: int) -> None:
        self._name = name
        self._max_threads = max_threads
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        self._started = 0
        self._idle = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run the work, which must not raise, in a thread once one is free.

        Raises:
            RuntimeError: No thread can be started; the work will not run.
        """
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._started < self._max_threads:
                Thread(target=self._run, name=f"{self._name}-{self._started + 1}", daemon=True).start()
                self._started += 1
            self._work.put(work)

    def close(self) -> None:
        """Let the threads end after the submitted work, without waiting for them."""
        for _ in range(self._max_threads):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                if self._work.qsize() == 0:
                    self._idle += 1


def started(work: Callable[[], T]) -> "Future[T]":
    """Start the work in a new daemon thread."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled any more: the thread will set its result

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller that waits
            future.set_exception(error)
        else:
            future.set_result(result)

    threads = DaemonThreads("cogo-wait", 1)
    threads.submit(run)
    threads.close()
    return future


def within(seconds: float, work: Callable[[], T], discard: Callable[[T], object]) -> T:
    """Run the work in a daemon thread and return its result.

    Args:
        seconds: Timeout.
        work: Called once.
        discard: Called with a result that arrives after the timeout.

    Raises:
        TimeoutError: There is no result in time.
    """
    future = started(work)
    try:
        return future.result(seconds)
    except BaseException:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise


async def in_daemon_thread(work: Callable[[], T], discard: Callable[[T], object] = lambda _: None) -> T:
    """Run the work in a daemon thread; on cancellation it is abandoned and a later result discarded."""
    future = started(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise
