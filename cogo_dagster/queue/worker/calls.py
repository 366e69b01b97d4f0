"""Calls the synchronous queue client from the worker's event loop, with retries during an outage."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, TransportError
from cogo_dagster.queue.threads import DaemonThreads

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 5.0
_DENIED_SECONDS: Final = 30.0
"""How long access may be denied before that is an error, since a key or role may be changing."""


class Denial:
    """Records for how long a repeated call has been denied."""

    def __init__(self) -> None:
        self._since: float | None = None

    def note(self, error: Exception) -> None:
        """Record a failure of the call.

        Raises:
            AccessDenied: The error, once access has been denied for half a minute.
        """
        if not isinstance(error, AccessDenied):
            return
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since >= _DENIED_SECONDS:
            raise error

    def end(self) -> None:
        """Record a success of the call."""
        self._since = None


class Calls:
    """Runs blocking calls in threads.

    Args:
        on_outage: Called once per outage, with the message of its first error.
        threads: Maximum number of concurrent calls.
    """

    def __init__(self, on_outage: Callable[[str], None], threads: int = 6) -> None:
        self._threads = DaemonThreads("cogo-call", threads)
        self._on_outage = on_outage
        self._outage = False

    @property
    def outage(self) -> bool:
        """Whether the last call with retries has not succeeded yet."""
        return self._outage

    def once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Start a blocking call in a thread; return its future."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = function(*args, **kwargs)
            except StopIteration as error:  # a future cannot carry it
                _deliver(loop, future, None, RuntimeError(repr(error)))
            except BaseException as error:  # noqa: BLE001 - raised in the awaiting task
                _deliver(loop, future, None, error)
            else:
                _deliver(loop, future, result, None)

        self._threads.submit(work)
        return future

    def with_retry(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Repeat an idempotent call until the database responds; other errors are raised.

        The first attempt is started before this returns, so that it precedes other tasks of the loop.

        Raises:
            AccessDenied: Access has been denied for half a minute.
        """
        return self._until_success(self.once(function, *args, **kwargs), lambda: function(*args, **kwargs))

    async def _until_success(self, first: "asyncio.Future[T]", again: Callable[[], T]) -> T:
        denial = Denial()
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS).pauses()
        attempt = first
        while True:
            try:
                result = await attempt
            except (TransportError, DatabaseUnavailable, AccessDenied) as error:
                denial.note(error)
                self.note_failure(error)
                await asyncio.sleep(next(pauses))
                attempt = self.once(again)
            else:
                self.note_success()
                return result

    def note_failure(self, error: Exception) -> None:
        """Report an outage once."""
        if not self._outage:
            self._outage = True
            self._on_outage(str(error))

    def note_success(self) -> None:
        """End the outage."""
        self._outage = False

    def close(self) -> None:
        """Let the threads end; calls in progress are not awaited."""
        self._threads.close()


def _deliver(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", result: T | None, error: BaseException | None
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop has ended, so no task awaits the result
        return


async def wait_for_any(*events: asyncio.Event, timeout_seconds: float | None = None) -> None:
    """Return when one of the events is set or the timeout expires."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def finish_or_give_up(work: Coroutine[Any, Any, T], signal: asyncio.Event, last_seconds: float) -> T | None:
    """Await the work; after the signal, for at most `last_seconds` more. Return None if it was abandoned."""
    task = asyncio.ensure_future(work)
    signalled = asyncio.ensure_future(signal.wait())
    try:
        await asyncio.wait([task, signalled], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([task], timeout=last_seconds)
        return task.result() if task.done() else None
    finally:
        signalled.cancel()
        task.cancel()
