"""Calling the synchronous queue client from the worker's loop, patiently where the database may be away for a while."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from cogo_dagster.queue.errors import DatabaseUnavailable, TransportError

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_PAUSE_SECONDS = 5.0


class Calls:
    """A few threads for blocking calls.

    Args:
        on_outage: Told once per outage, with the error's sentence.
        threads: Calls at once.
    """

    def __init__(self, on_outage: Callable[[str], None], threads: int = 6) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="cogo-call")
        self._on_outage = on_outage
        self._outage = False

    def once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Run a blocking call in a thread; it is under way when this returns."""
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def patiently(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Repeat a repeatable call until the database answers; only other errors come through.

        The first try is under way when this returns, before whatever else waits for its turn in the loop.
        """
        return self._until_answered(self.once(function, *args, **kwargs), lambda: function(*args, **kwargs))

    async def _until_answered(self, first: "asyncio.Future[T]", again: Callable[[], T]) -> T:
        pause_seconds = 0.2
        attempt = first
        while True:
            try:
                answer = await attempt
            except (TransportError, DatabaseUnavailable) as error:
                if not self._outage:
                    self._outage = True
                    self._on_outage(str(error))
                await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
                attempt = self.once(again)
            else:
                self._outage = False
                return answer

    def close(self) -> None:
        """Let the threads end; a call under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def wait_for_any(*events: asyncio.Event, timeout_seconds: float | None = None) -> None:
    """Return when one of the events is set, or the time is up."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def finish_or_give_up(work: Coroutine[Any, Any, T], signal: asyncio.Event, last_seconds: float) -> T | None:
    """Await the work; once the signal is set, for at most `last_seconds` more. None when it was given up."""
    task = asyncio.ensure_future(work)
    signalled = asyncio.ensure_future(signal.wait())
    try:
        await asyncio.wait([task, signalled], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([task], timeout=last_seconds)
        return task.result() if task.done() else None
    finally:
        signalled.cancel()
        task.cancel()
