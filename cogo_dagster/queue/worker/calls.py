"""Calling the synchronous queue client from the worker's loop, with retries while the database does not answer."""

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
_LONGEST_PAUSE_SECONDS: Final = 5.0
_DENIED_SECONDS: Final = 30.0
"""How long access may be denied before it counts as final: a key or a role may be in the middle of a change."""


class Denial:
    """Tells whether a repeated call has been denied for so long that waiting is in vain."""

    def __init__(self) -> None:
        self._since: float | None = None

    def note(self, error: Exception) -> None:
        """Take a failure of the call.

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
        """The call succeeded."""
        self._since = None


class Calls:
    """Runs blocking calls in a few threads.

    Args:
        on_outage: Receives one sentence per outage, from the error that began it.
        threads: Calls at once.
    """

    def __init__(self, on_outage: Callable[[str], None], threads: int = 6) -> None:
        self._threads = DaemonThreads("cogo-call", threads)
        self._on_outage = on_outage
        self._outage = False

    @property
    def outage(self) -> bool:
        """Whether the last call that was repeated has not succeeded yet."""
        return self._outage

    def once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Run a blocking call in a thread; it is under way when this returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                answer = function(*args, **kwargs)
            except StopIteration as error:  # a future cannot carry it
                _deliver(loop, future, None, RuntimeError(repr(error)))
            except BaseException as error:  # noqa: BLE001 - carried over to whoever awaits
                _deliver(loop, future, None, error)
            else:
                _deliver(loop, future, answer, None)

        self._threads.submit(work)
        return future

    def patiently(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Repeat a repeatable call until the database answers; only other errors come through.

        The first try is under way when this returns, before whatever else waits for its turn in the loop.

        Raises:
            AccessDenied: Access has been denied for half a minute.
        """
        return self._until_answered(self.once(function, *args, **kwargs), lambda: function(*args, **kwargs))

    async def _until_answered(self, first: "asyncio.Future[T]", again: Callable[[], T]) -> T:
        denial = Denial()
        pauses = Backoff(_FIRST_PAUSE_SECONDS, max_seconds=_LONGEST_PAUSE_SECONDS).pauses()
        attempt = first
        while True:
            try:
                answer = await attempt
            except (TransportError, DatabaseUnavailable, AccessDenied) as error:
                denial.note(error)
                self.note_failure(error)
                await asyncio.sleep(next(pauses))
                attempt = self.once(again)
            else:
                self.note_success()
                return answer

    def note_failure(self, error: Exception) -> None:
        """Report an outage once."""
        if not self._outage:
            self._outage = True
            self._on_outage(str(error))

    def note_success(self) -> None:
        """End the outage."""
        self._outage = False

    def close(self) -> None:
        """Let the threads end; a call under way is not waited for."""
        self._threads.close()


def _deliver(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", answer: T | None, error: BaseException | None
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop has ended already: nobody awaits
        return


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
