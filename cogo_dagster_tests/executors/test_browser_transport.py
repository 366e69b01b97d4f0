"""How messages of Playwright's driver are read."""

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from cogo_dagster.executors.browser import transport
from cogo_dagster.executors.browser.transport import DriverTransport
from cogo_dagster_tests.executors.bench import Bench

HANDLE = {"guid": "page@1", "method": "__create__", "params": {"type": "JSHandle", "guid": "handle@2"}}
ABOUT_HANDLE = {"guid": "handle@2", "method": "__dispose__", "params": {"reason": "gc"}}
TEXT = '{"guid":"handle@ \\"__create__\\","params":{"type":"JSHandle"'


def framed(message: Any) -> bytes:
    """Return a message as the driver writes it."""
    content = json.dumps(message, separators=(",", ":")).encode()
    return len(content).to_bytes(4, "little") + content


class CountingReader(asyncio.StreamReader):
    """Counts the reads of messages."""

    reads = 0

    async def readexactly(self, n: int) -> bytes:
        """Count and read."""
        self.reads += 1
        return await super().readexactly(n)


def read(messages: Iterable[Any], fails: bool = False) -> tuple[list[Any], int, str]:
    """Return the messages that arrive, the number of reads, and the error at the end of the driver."""
    arrived: list[Any] = []

    def arrive(message: Any) -> None:
        arrived.append(message)
        if fails:
            raise KeyError("page@1")

    async def scenario() -> tuple[int, str]:
        connection = DriverTransport(asyncio.get_running_loop())
        reader = CountingReader()
        reader.feed_data(b"".join(map(framed, messages)))
        reader.feed_eof()
        connection._proc = MagicMock(stdout=reader, communicate=AsyncMock())
        connection._stopped_future = asyncio.get_running_loop().create_future()
        connection.on_message = arrive
        await connection.run()
        assert connection._stopped_future.done()
        return reader.reads, str(connection.on_error_future.exception())

    return arrived, *asyncio.run(scenario())


def test_a_long_message_is_read_at_once() -> None:
    """A message is not copied in parts: of a page of 25 MB it takes two reads, the length and the content."""
    long = {"id": "a@1", "result": {"value": "x" * 25_000_000}}
    arrived, reads, error = read([long])
    assert arrived == [long]
    assert reads == 3, "the third finds the end"
    assert error == "Connection closed while reading from the driver"


def test_handles_of_logged_values_are_not_created() -> None:
    """Messages about handles are left out; text of a page that looks like one is not."""
    reply = {"id": "a@1", "result": {"value": TEXT}}
    event = {"guid": "page@1", "method": "navigated", "params": {"url": TEXT}}
    element = {"guid": "frame@1", "method": "__create__", "params": {"type": "ElementHandle", "guid": "handle@3"}}
    arrived, _, _ = read([HANDLE, reply, ABOUT_HANDLE, event, element])
    assert arrived == [reply, event, element]


def test_a_reply_above_the_limit_fails_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call of a reply that is too long gets an error; other messages are complete, long events too."""
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 1_000)
    reply = {"id": "a@1", "result": {"value": "x" * 200_000}}
    event = {"guid": "page@1", "method": "navigated", "params": {"url": "x" * 2_000}}
    short = {"id": "a@2", "result": {"value": "x"}}
    arrived, _, _ = read([reply, event, short])
    assert arrived[1:] == [event, short]
    assert arrived[0]["id"] == "a@1"
    assert arrived[0]["error"]["error"]["message"].startswith("The browser's reply has 200,")


def test_a_message_about_a_closed_page_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A message that cannot be handled is logged, and the following ones are read."""
    with caplog.at_level(logging.WARNING):
        arrived, _, _ = read([{"guid": "page@1", "method": "close"}, {"id": "a@2"}], fails=True)
    assert len(arrived) == 2
    assert caplog.messages == ["A message of Playwright's driver could not be handled."] * 2


def test_a_page_that_logs_many_values_leaves_no_handles(shared: Bench) -> None:
    """The texts of logged values are recorded, also of elements and objects, and no object is created for them."""
    shared.site.pages["/logs"] = (
        "<p>x</p><script>console.log(document.body);"
        "for (let i = 0; i < 300; i++) console.error('Line', i, {i}, [i], document.querySelector('p'))</script>"
    )
    created: list[str] = []
    connection = shared.running._driver._impl_obj._connection
    create = connection._object_factory

    def counted(parent: Any, kind: str, guid: str, initializer: Any) -> Any:
        created.append(kind)
        return create(parent, kind, guid, initializer)

    connection._object_factory = counted
    try:
        found = shared.run({"url": shared.site.url("/logs")})
    finally:
        connection._object_factory = create
    assert found.result["console_errors"][-1] == "Line 299 {i: 299} [299] JSHandle@<p>x</p>"
    assert len(found.result["console_errors"]) == 20
    assert "ElementHandle" in created
    assert "JSHandle" not in created
