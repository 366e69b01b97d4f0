"""Calls the synchronous queue client from the worker's event loop, with retries during an outage."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, TransportError
from cogo_dagster.queue.threads import DaemonThreads
from cogo_dagster.queue.transports.base import LoopTransport, StartedCall, Transport, TypedCall

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 5.0
_MAX_DECODED_BYTES: Final = 1_000_000
"""A longer reply is decoded in a thread, so that the event loop is not blocked for long."""
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
        self._in_progress: set[StartedCall] = set()
        self._closed = False

    @property
    def outage(self) -> bool:
        """Whether the last call with retries has not succeeded yet."""
        return self._outage

    def once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Start a blocking call in a thread; return its future."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._in_thread(future, lambda: function(*args, **kwargs))
        return future

    def _in_thread(self, future: "asyncio.Future[T]", function: Callable[[], T]) -> None:
        loop = future.get_loop()

        def work() -> None:
            try:
                result = function()
            except StopIteration as error:  # a future cannot carry it
                _deliver(loop, future, None, RuntimeError(repr(error)))
            except BaseException as error:  # noqa: BLE001 - raised in the awaiting task
                _deliver(loop, future, None, error)
            else:
                _deliver(loop, future, result, None)

        self._threads.submit(work)

    def in_loop(self, transport: Transport, call: TypedCall[T], otherwise: Callable[[], T]) -> "asyncio.Future[T]":
        """Make a call whose reply the event loop reads; return its future.

        Args:
            transport: Makes the call.
            call: Must be repeatable.
            otherwise: Makes the same call in a thread, if the transport cannot or the first attempt fails.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def ended(reply: bytes | None, error: Exception | None) -> None:
            self._in_progress.discard(started)
            if self._closed or future.done():  # no task waits for it
                return
            if error is None and reply is not None and len(reply) > _MAX_DECODED_BYTES:
                self._in_thread(future, lambda: call.read(decode(reply)))
                return
            if error is None:
                with contextlib.suppress(Exception):  # raised again by the second attempt
                    future.set_result(call.read(None if reply is None else decode(reply)))
                    return
            self._in_thread(future, otherwise)

        started = (
            transport.start(call.function, call.arguments, ended) if isinstance(transport, LoopTransport) else None
        )
        if started is None:
            self._in_thread(future, otherwise)
        else:
            self._in_progress.add(started)
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
        self._closed = True
        for call in list(self._in_progress):
            call.abandon()
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


class Signal(asyncio.Event):
    """An event that can be awaited together with others, without a task for each of them."""

    def __init__(self) -> None:
        super().__init__()
        self._waiters_for_any: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Set the event, and end the waits for it."""
        super().set()
        for waiter in self._waiters_for_any:
            _release(waiter)

    def add_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Give the future a result when the event is set."""
        self._waiters_for_any.add(waiter)

    def remove_waiter(self, waiter: "asyncio.Future[None]") -> None:
        """Do not inform the future any more."""
        self._waiters_for_any.discard(waiter)


async def wait_for_any(*signals: Signal, timeout_seconds: float | None = None) -> None:
    """Return when one of the signals is set or the timeout expires."""
    if any(signal.is_set() for signal in signals):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    timer = None if timeout_seconds is None else loop.call_later(timeout_seconds, _release, waiter)
    for signal in signals:
        signal.add_waiter(waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for signal in signals:
            signal.remove_waiter(waiter)


async def wait_for_result(future: "asyncio.Future[Any]", signal: Signal) -> bool:
    """Wait for the future or the signal; return whether the future has a result and no exception."""
    done = Signal()

    def end(_: object) -> None:
        done.set()

    future.add_done_callback(end)
    try:
        await wait_for_any(done, signal)
    finally:
        future.remove_done_callback(end)
    return future.done() and not future.cancelled() and future.exception() is None


async def finish_or_give_up(work: Coroutine[Any, Any, T], signal: Signal, last_seconds: float) -> T | None:
    """Await the work; after the signal, for at most `last_seconds` more. Return None if it was abandoned."""
    task = asyncio.ensure_future(work)
    try:
        await wait_for_result(task, signal)
        if not task.done():
            await asyncio.wait([task], timeout=last_seconds)
        return task.result() if task.done() else None
    finally:
        task.cancel()


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
