"""How messages of Playwright's driver are read and written."""

import asyncio
import gc
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any
from unittest.mock import AsyncMock, MagicMock, call

import pytest
from playwright._impl._connection import ChannelOwner, Connection, ProtocolCallback
from playwright.async_api import ConsoleMessage, Error, Page

from cogo_dagster.executors.browser import events, evidence, executor, process, run, screenshots, transport
from cogo_dagster.executors.browser.artifacts import ArtifactCollector
from cogo_dagster.executors.browser.run import BrowserAttempt
from cogo_dagster.executors.browser.transport import DriverTransport
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.worker import execute
from cogo_dagster_tests.executors.bench import Bench, artifact, names

HANDLE = {"guid": "page@1", "method": "__create__", "params": {"type": "JSHandle", "guid": "handle@2"}}
ABOUT_HANDLE = {"guid": "handle@2", "method": "__dispose__", "params": {"reason": "gc"}}
TEXT = '{"guid":"handle@ \\"__create__\\","params":{"type":"JSHandle"'


def framed(message: Any) -> bytes:
    """Return a message as the driver writes it."""
    content = message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":")).encode()
    return len(content).to_bytes(4, "little") + content


def sent(message: Any) -> bytes:
    """Return a message as the driver expects it."""
    content = json.dumps(message).encode()
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


def test_messages_of_one_iteration_are_written_together() -> None:
    """Messages of one iteration of the event loop are written at once, in their order, and the last ones at the end."""
    first, second = {"id": "a@1", "params": {"url": "ä\ud800"}}, {"id": "a@2"}
    output = MagicMock()

    async def scenario() -> None:
        connection = DriverTransport(asyncio.get_running_loop())
        connection._output = output
        connection.send(first)
        connection.send(second)
        await asyncio.sleep(0)
        connection.send(second)
        connection.request_stop()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert output.method_calls == [call.write(sent(first) + sent(second)), call.write(sent(second)), call.close()]


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


def test_a_reply_that_is_nested_too_deeply_fails_its_call() -> None:
    """A page may return an object that cannot be parsed; the following messages are read."""
    deep = b"[" * 100_000 + b"]" * 100_000
    reply, event = b'{"id":"a@1","result":%b}' % deep, b'{"guid":"page@1","method":"binding","params":%b}' % deep
    arrived, _, _ = read([event, reply, {"id": "a@2"}])
    assert [message["id"] for message in arrived] == ["a@1", "a@2"]
    assert arrived[0]["error"]["error"]["message"] == "The browser's reply is nested too deeply"


def test_a_reply_that_cannot_be_handled_fails_its_call(shared: Bench) -> None:
    """A call whose reply Playwright cannot process ends with an error instead of never, and other calls continue."""

    async def returned() -> int:
        context = await shared.running.browser.new_context()
        try:
            page = await context.new_page()
            session = await context.new_cdp_session(page)
            with pytest.raises(Error, match="The browser's reply"):
                await session.send("Runtime.evaluate", {"expression": "({guid: []})", "returnByValue": True})
            return int(await page.evaluate("1 + 1"))
        finally:
            await context.close()

    shared.usable()
    assert shared.do(returned()) == 2


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
    connection = shared.usable()._driver._impl_obj._connection
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


def test_a_page_above_the_limit_keeps_its_screenshot(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML that the browser does not return leaves the screenshot, the reason, and a browser for the next job."""
    shared.site.pages["/large"] = f"<title>Large</title><!--{'x' * 300_000}-->"
    before = shared.usable()
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 200_000)
    error = shared.fail({"url": shared.site.url("/large")})
    assert (error.error_class, error.retryable) == ("artifact_limit", False)
    assert "the limit is 200,000" in error.message
    assert names(error) == {"screenshot.png", "evidence.json"}
    assert shared.run({"url": shared.site.url()}).result["title"] == "Home"
    assert shared.running is before


def test_extracted_values_are_cut_in_the_page(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long text and of many elements, only what is kept is transferred."""
    shared.site.pages["/many"] = (
        "<p></p><script>document.querySelector('p').textContent = 'x'.repeat(400000);"
        "document.querySelector('p').title = 'y'.repeat(400000);"
        "for (let i = 0; i < 1500; i++) document.body.append(document.createElement('b'))</script>"
    )
    actions = [
        {"do": "extract", "name": "text", "selector": "p"},
        {"do": "extract", "name": "title", "selector": "p", "attribute": "title"},
        {"do": "extract", "name": "all", "selector": "b", "all": True},
    ]
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 200_000)
    found = shared.run({"url": shared.site.url("/many"), "actions": actions, "html": False})
    extracted = json.loads(artifact(found, "extracted.json"))
    assert extracted == {"text": "x" * 100_000, "title": "y" * 100_000, "all": [""] * 1_000}
    assert found.result["notes"] == ["all has the first 1000 of 1500 matches."]


def test_a_page_that_returns_too_much_as_its_state_is_saved(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that replaces the functions of the browser loses its title, and keeps its screenshot and HTML."""
    shared.site.pages["/state"] = "<title>x</title><script>String.prototype.slice = () => 'x'.repeat(300000)</script>"
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 200_000)
    found = shared.run({"url": shared.site.url("/state"), "screenshot": True})
    assert (found.result["title"], found.result["status"]) == ("", 200)
    assert names(found) == {"screenshot.png", "page.html"}


def test_a_screenshot_above_the_limit_is_taken_of_less(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of a whole page that the browser does not return is taken again of the upper part."""
    shared.site.pages["/noise"] = (
        "<body style='margin:0'><canvas width=200 height=2000 style='display:block'></canvas><script>"
        "const context = document.querySelector('canvas').getContext('2d'), image = context.createImageData(200, 2000);"
        "for (let at = 0, seed = 1; at < image.data.length; at++)"
        " image.data[at] = at % 4 === 3 ? 255 : (seed = seed * 16807 % 2147483647) & 255;"
        "context.putImageData(image, 0, 0)</script>"
    )
    monkeypatch.setattr(transport, "MAX_REPLY_BYTES", 800_000)
    monkeypatch.setattr(screenshots, "MAX_FILE_BYTES", 600_000)
    payload = {"url": shared.site.url("/noise"), "full_page": True, "viewport": {"width": 200, "height": 200}}
    found = shared.run(payload | {"screenshot": True})
    assert 200_000 < len(artifact(found, "screenshot.png")) <= 600_000
    [note] = found.result["notes"]
    assert re.fullmatch(r"screenshot\.png shows the upper \d{3} of 2000 pixels\.", note)


@pytest.mark.parametrize("busy", [True, False])
def test_what_cannot_be_read_is_noted(shared: Bench, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    """If console messages cannot be read, a note has the reason; a driver that is busy gets no further job."""
    monkeypatch.setattr(events, "LIST_TIMEOUT_SECONDS", 0.05 if busy else 5)
    before = shared.usable()

    async def messages(_: Page, **__: str) -> list[ConsoleMessage]:
        if busy:
            await asyncio.sleep(0.1)
        raise Error("The browser's reply has 200,000,000 bytes; the limit is 100,000,000")

    with monkeypatch.context() as patched:
        patched.setattr(Page, "console_messages", messages)
        notes = shared.run({"url": shared.site.url()}).result["notes"]
    reason = "Timeout 50ms exceeded" if busy else "The browser's reply has 200,000,000 bytes; the limit is 100,000,000"
    assert f"Console messages could not be read: {reason}." in notes
    assert before.unhealthy is busy
    assert shared.run({"url": shared.site.url()}).result["title"] == "Home"


def test_an_attempt_ends_before_the_worker_cancels_it() -> None:
    """Collecting evidence and closing the page of a browser that hangs take less time than the worker's margin."""
    files_seconds = evidence.REQUESTS_TIMEOUT_SECONDS + evidence.FILE_TIMEOUT_SECONDS
    assert max(files_seconds, run.TRACE_TIMEOUT_SECONDS) < executor.EVIDENCE_TIMEOUT_SECONDS
    assert events.LIST_TIMEOUT_SECONDS < executor.EVIDENCE_TIMEOUT_SECONDS
    closing = run.CLOSE_TIMEOUT_SECONDS + run.REPLY_TIMEOUT_SECONDS + process.RESPONSE_SECONDS
    assert executor.EVIDENCE_TIMEOUT_SECONDS + closing < execute._TIMEOUT_MARGIN_SECONDS


def held(bench: Bench) -> Counter[str]:
    """Return how many objects of pages, calls and attempts exist, by class."""
    gc.collect()
    kinds = (ChannelOwner, Connection, ProtocolCallback, BrowserAttempt, ProxySession, ArtifactCollector, asyncio.Task)
    found = Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))
    connection = bench.running._driver._impl_obj._connection
    return found + Counter({"in the connection": len(connection._objects), "calls": len(connection._callbacks)})


def test_ended_jobs_leave_no_objects(shared: Bench) -> None:
    """After jobs that succeeded, failed, or logged values, the worker holds as many objects as before."""
    shared.site.pages["/logs"] = "<script>for (let i = 0; i < 50; i++) console.error(i, {i}, document.head)</script>"
    steps = [{"do": "click", "selector": "#missing", "timeout_ms": 100}]

    def jobs() -> Counter[str]:
        shared.run({"url": shared.site.url("/logs")})
        shared.fail({"url": shared.site.url("/"), "actions": steps})
        shared.fail({"url": shared.site.url("/missing")}, attempts=2)
        return held(shared)

    shared.usable()
    shared.fail({"url": shared.site.url("/missing")}, attempts=2)  # what is left of earlier tests ends
    first = jobs()
    assert jobs() == first
