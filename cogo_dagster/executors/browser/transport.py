"""Starts Playwright's driver with a transport that bounds the cost of its messages.

Playwright's own reader copies a message once for every 32 KiB of it, so that a page of 100 MB blocks all jobs of the
worker for a minute. It also runs the event loop once per message, and creates two objects for each value that a page
has logged, which no job uses. Its writer wakes the driver for each message.
"""

import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import playwright
from playwright._impl._connection import Connection
from playwright._impl._errors import rewrite_error
from playwright._impl._helper import ParsedMessagePayload
from playwright._impl._object_factory import create_remote_object
from playwright._impl._transport import PipeTransport
from playwright.async_api import Error, Playwright

from cogo_dagster.executors.browser.errors import first_line
from cogo_dagster.executors.browser.tasks import begin

logger = logging.getLogger(__name__)

MAX_REPLY_BYTES: Final = 100_000_000
"""Maximum size of a reply; the largest artifact takes a third of it."""
MESSAGES_PER_TURN: Final = 16
"""How many messages are handled before other tasks of the event loop run."""

_HEAD_BYTES: Final = 100
_CHUNK_BYTES: Final = 65_536
_REPLY: Final = re.compile(rb'\{"id":"([^"]+)",')
_LOGGED_VALUE: Final = re.compile(rb'\{"guid":(?:"handle@|"[^"]*","method":"__create__","params":\{"type":"JSHandle")')
"""Messages about handles. A page cannot imitate them: quotation marks in its strings are escaped."""

_PLAYWRIGHT: Final = str(Path(playwright.__file__).parent)
_TOO_LONG: Final = re.compile(r"browser's reply has ([\d,]+) bytes")


class DriverTransport(PipeTransport):
    """Reads and writes the messages of a driver."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._unsent: list[bytes] = []

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, together with all others of this iteration of the event loop."""
        content = self.serialize_message(message)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += len(content).to_bytes(4, "little"), content

    def request_stop(self) -> None:
        """End the connection after what was sent."""
        self._flush()
        super().request_stop()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        assert self._output is not None  # noqa: S101 - the process was started with a pipe
        if unsent:
            self._output.write(b"".join(unsent))

    async def run(self) -> None:
        """Dispatch messages until the driver ends or `request_stop` is called."""
        assert self._proc.stdout is not None  # noqa: S101 - the process was started with a pipe
        try:
            try:
                await self._read(self._proc.stdout)
            except asyncio.IncompleteReadError:
                if not self._stopped:
                    self.on_error_future.set_exception(Exception("Connection closed while reading from the driver"))
            await self._proc.communicate()
        finally:
            if not self._stopped_future.done():
                self._stopped_future.set_result(None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        left = MESSAGES_PER_TURN
        while not self._stopped:
            size_bytes = int.from_bytes(await reader.readexactly(4), "little")
            if size_bytes > MAX_REPLY_BYTES:
                await self._read_long(reader, size_bytes)
                continue
            message = await reader.readexactly(size_bytes)
            if not (self._stopped or _LOGGED_VALUE.match(message)):
                self._handle(message)
            left -= 1
            if left == 0:
                left = MESSAGES_PER_TURN
                await asyncio.sleep(0)

    async def _read_long(self, reader: asyncio.StreamReader, size_bytes: int) -> None:
        """Discard a reply above the limit, so that its call fails; events are needed by later ones."""
        head = await reader.readexactly(_HEAD_BYTES)
        left_bytes = size_bytes - len(head)
        reply = _REPLY.match(head)
        if reply is None:
            self._handle(head + await reader.readexactly(left_bytes))
            return
        while left_bytes:
            left_bytes -= len(await reader.readexactly(min(left_bytes, _CHUNK_BYTES)))
        self._fail(reply, f"The browser's reply has {size_bytes:,} bytes; the limit is {MAX_REPLY_BYTES:,}")

    def _handle(self, content: bytes) -> None:
        try:
            message = json.loads(content.decode())
        except RecursionError:
            reply = _REPLY.match(content)
            if reply is not None:
                self._fail(reply, "The browser's reply is nested too deeply")
            return
        self._dispatch(message)

    def _fail(self, reply: re.Match[bytes], reason: str) -> None:
        """Make the call that a reply belongs to fail."""
        error = {"error": {"name": "Error", "message": reason, "stack": ""}}
        self._dispatch(cast("ParsedMessagePayload", {"id": reply[1].decode(), "error": error}))

    def _dispatch(self, message: ParsedMessagePayload) -> None:
        """Handle a message; one that refers to an object of a closed page must not end the connection of all jobs."""
        try:
            self.on_message(message)
        except Exception:
            logger.warning("A message of Playwright's driver could not be handled.", exc_info=True)


class DriverConnection(Connection):
    """Playwright's connection to its driver, in which every call ends, and the name of a call is determined quickly.

    Playwright copies the local variables of all functions on the call stack for each message, which takes a twentieth
    of a job's Python time. Only a trace needs the lines of the calls.
    """

    async def wrap_api_call(self, cb: Callable[[], Any], is_internal: bool = False, title: str | None = None) -> Any:
        """Call a function under the name of the method that a job calls, which begins its errors."""
        if self._tracing_count or self._api_zone.get():
            return await super().wrap_api_call(cb, is_internal, cast("str", title))
        with self._named("" if is_internal else _method_name(), title):
            return await cb()

    def wrap_api_call_sync(self, cb: Callable[[], Any], is_internal: bool = False, title: str | None = None) -> Any:
        """Do the same for a function that is not a coroutine."""
        if self._tracing_count or self._api_zone.get():
            return super().wrap_api_call_sync(cb, is_internal, cast("str", title))
        with self._named("" if is_internal else _method_name(), title):
            return cb()

    @contextmanager
    def _named(self, name: str, title: str | None) -> Iterator[None]:
        self._api_zone.set({"frames": [], "apiName": name, "title": title})
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is raised again
            raise rewrite_error(error, f"{name}: {error}") from None
        finally:
            self._api_zone.set(None)

    def dispatch(self, msg: ParsedMessagePayload) -> None:
        """Handle a message; a reply that cannot be handled fails its call, which would never end otherwise."""
        call = self._callbacks.get(msg["id"]) if "id" in msg else None
        try:
            super().dispatch(msg)
        except Exception as error:
            if call is None or call.future.done():
                raise
            call.future.set_exception(Error(f"The browser's reply cannot be read ({first_line(str(error))})"))


def _method_name() -> str:
    """Return the name of the method of Playwright that the caller's caller was called by, such as `Page.goto`."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the only way to the frame of the caller
    name = ""
    while frame is not None and frame.f_code.co_filename.startswith(_PLAYWRIGHT):
        name = frame.f_code.co_qualname
        frame = frame.f_back
    return name


def reply_bytes(message: str) -> int | None:
    """Return the size of the reply, if *message* is the error of a call whose reply was above the limit."""
    match = _TOO_LONG.search(message)
    return int(match[1].replace(",", "")) if match else None


async def start_driver() -> Playwright:
    """Start a driver, as `async_playwright().start()` does.

    Raises:
        Exception: The driver does not start.
    """
    loop = asyncio.get_running_loop()
    transport = DriverTransport(loop)
    connection = DriverConnection(None, create_remote_object, transport, loop)
    begin(connection.run())
    started = connection.playwright_future
    await asyncio.wait({transport.on_error_future, started}, return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        started.cancel()
        transport.on_error_future.result()
    driver = Playwright(started.result())
    setattr(driver, "stop", connection.stop_async)  # noqa: B010 - as Playwright does, whose own method does nothing
    return driver
