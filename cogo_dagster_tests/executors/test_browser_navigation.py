"""Navigations that lead to no document, and what the headers and the error page of the last document say."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from playwright.async_api import Error, Page

from cogo_dagster.executors.browser import evidence
from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster_tests.executors.bench import Bench, artifact, names
from cogo_dagster_tests.executors.rawserver import answering

CLICK = [{"do": "click", "selector": "#a"}]


@pytest.fixture(autouse=True)
def brief_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for half a second for pictures of a page that returns none."""
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 0.5)


def link(path: str) -> str:
    """Return a page with a link."""
    return f"<title>First</title><a id='a' href='{path}'>x</a>"


@pytest.mark.parametrize(
    ("path", "error_class", "reason"),
    [
        ("/status/204", "no_document", "the server responded with 204, which has no document"),
        ("/status/205", "no_document", "the server responded with 205, which has no document"),
        ("/download", "download", "it is a download, not a page"),
    ],
)
def test_a_page_that_leads_to_no_document_while_it_loads_fails(
    shared: Bench, path: str, error_class: str, reason: str
) -> None:
    """The page never finishes loading: the failure is permanent, and names the address and the cause."""
    shared.site.pages["/away"] = f"<title>First</title><script>location = '{path}'</script>"
    error = shared.fail({"url": shared.site.url("/away"), "timeout_ms": 1_000})
    assert (error.error_class, error.retryable) == (error_class, False)
    assert f"it leads to {shared.site.url(path)}: {reason}" in error.message


@pytest.mark.parametrize(
    ("method", "action"),
    [("get", {"do": "click"}), ("post", {"do": "click"}), ("get", {"do": "press", "key": "Enter"})],
)
def test_an_action_that_leads_to_no_content_fails(shared: Bench, method: str, action: dict[str, str]) -> None:
    """Playwright waits for the document in vain: the failure is permanent, and names the address and the status."""
    shared.site.pages["/away"] = f"<form method='{method}' action='/status/204'><button id='a'>x</button></form>"
    actions = [{**action, "selector": "#a"}]
    error = shared.fail({"url": shared.site.url("/away"), "actions": actions, "timeout_ms": 1_000})
    assert (error.error_class, error.retryable) == ("no_document", False)
    assert error.message.startswith(f"{action['do']} #a: it leads to {shared.site.url('/status/204')}")
    assert {"screenshot.png", "page.html"} <= names(error)


@pytest.mark.parametrize(
    ("target", "note"),
    [
        ("mailto:a@b.example", "The page navigated to mailto:a@b.example, which a browser cannot open."),
        ("/to?ftp://x.example/f", "The page navigated to ftp://x.example/f, which a browser cannot open."),
        ("myapp://open", "The page navigated to myapp://open, which a browser cannot open."),
        ("/status/205", "The server responded with 205 to {}, which has no document."),
    ],
)
@pytest.mark.parametrize("way", ["click", "meta"])
def test_a_page_that_stays_has_a_note(shared: Bench, target: str, note: str, way: str) -> None:
    """A navigation that led nowhere after the page had loaded leaves the page, with a note."""
    refresh = f"<title>First</title><meta http-equiv='refresh' content='0;url={target}'>"
    shared.site.pages["/stays"] = link(target) if way == "click" else refresh
    actions = CLICK if way == "click" else [{"do": "wait", "ms": 300}]
    found = shared.run({"url": shared.site.url("/stays"), "actions": actions})
    assert (found.result["title"], found.result["status"]) == ("First", 200)
    assert found.result["notes"] == [note.format(shared.site.url(target))]


@pytest.mark.parametrize(
    ("target", "error_class", "reason"),
    [
        ("/loop", "redirects", "too many redirects"),
        ("ws://x.example/", "invalid_url", "it redirects to ws://x.example/, which a browser cannot open"),
        ("http://127.0.0.1:1/", "invalid_url", "the last document, http://127.0.0.1:1/: browsers do not open this URL"),
    ],
)
def test_the_error_page_of_the_browser_has_its_cause(shared: Bench, target: str, error_class: str, reason: str) -> None:
    """A click that ends at an error page of the browser has the class and the address, not only that it failed."""
    shared.site.pages["/away"] = link(target)
    error = shared.fail({"url": shared.site.url("/away"), "actions": CLICK})
    assert (error.error_class, error.retryable) == (error_class, False)
    assert reason in error.message
    assert "chrome-error" not in error.message


@pytest.mark.parametrize("target", ["data:text/html,hi", "about:blank#top", "file:///etc/passwd"])
def test_a_click_that_is_redirected_to_another_scheme_is_reported_with_its_url(shared: Bench, target: str) -> None:
    """The message has the URL to which the server redirects, not the one of the link."""
    shared.site.pages["/away"] = link(f"/to?{target}")
    error = shared.fail({"url": shared.site.url("/away"), "actions": CLICK})
    assert (error.error_class, error.retryable) == ("invalid_url", False)
    assert f"it redirects to {target.partition('#')[0]}, which a browser cannot open" in error.message


@contextmanager
def serving(head: str, body: str = "<title>x</title>") -> Iterator[str]:
    """Serve one response; yield its URL."""
    with answering(f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()) as authority:
        yield f"http://{authority}/"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_last_document_can_ask_for_a_delay(open_bench: Bench, form: str) -> None:
    """Retry-After of the page that a click led to delays the next attempt."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)
    value = "300" if form == "seconds" else later
    head = f"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/html\r\nRetry-After: {value}"
    with serving(head) as url:
        open_bench.site.pages["/away"] = link(url)
        error = open_bench.fail({"url": open_bench.site.url("/away"), "actions": CLICK})
    assert (error.error_class, error.retryable) == ("http_status", True)
    assert error.delay_seconds == pytest.approx(300, abs=15)


@pytest.mark.parametrize("clicked", [False, True])
def test_a_server_that_responds_as_a_proxy_is_reported_with_its_status(open_bench: Bench, clicked: bool) -> None:
    """The message has the status 407 of the server, not the one that the browser receives instead."""
    with serving("HTTP/1.1 407 No\r\nContent-Type: text/html\r\nProxy-Authenticate: Basic") as url:
        open_bench.site.pages["/away"] = link(url)
        payload = {"url": open_bench.site.url("/away"), "actions": CLICK} if clicked else {"url": url}
        error = open_bench.fail(payload)
    assert error.error_class == "http_status"
    assert error.message.endswith("the server responded with 407.")


@pytest.mark.parametrize(
    ("header", "status", "retryable"),
    [
        ("Content-Type: application/octet-stream", 500, True),
        ("Content-Type: application/pdf", 404, False),
        ("Content-Disposition: attachment; filename=a.html", 503, True),
    ],
)
def test_a_download_with_an_error_status_is_an_error(
    open_bench: Bench, header: str, status: int, retryable: bool
) -> None:
    """The status decides, not the type of the response; Retry-After is respected."""
    with serving(f"HTTP/1.1 {status} No\r\n{header}\r\nRetry-After: 9") as url:
        error = open_bench.fail({"url": url})
    assert (error.error_class, error.retryable, error.delay_seconds) == (
        "http_status",
        retryable,
        9.0 if retryable else None,
    )


@pytest.mark.parametrize("target", ["http://", "http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:22/"])
def test_a_redirect_to_an_invalid_address_is_reported_with_it(open_bench: Bench, target: str) -> None:
    """The failure is permanent, and the message has the address that the browser does not open."""
    with serving(f"HTTP/1.1 302 Found\r\nLocation: {target}") as url:
        error = open_bench.fail({"url": url})
    assert (error.error_class, error.retryable) == ("invalid_url", False)
    assert f"it redirects to {target}, which a browser cannot open" in error.message


@pytest.mark.parametrize("name", ["Location", "Content-Length"])
def test_contradictory_headers_are_not_called_too_large(open_bench: Bench, name: str) -> None:
    """A header with two values has the class `headers`, and a message of its own."""
    reply = f"HTTP/1.1 302 Found\r\n{name}: 1\r\n{name}: 2\r\n\r\nxx".encode()
    with answering(reply) as authority:
        error = open_bench.fail({"url": f"http://{authority}/"})
    assert (error.error_class, error.retryable) == ("headers", False)
    assert "repeats a header with different values" in error.message


def test_a_page_that_keeps_refreshing_itself_is_unsettled(shared: Bench) -> None:
    """A page that loads, and then loads itself again and again, is not called slow."""
    shared.site.pages["/again"] = "<meta http-equiv='refresh' content='0;url=/again'><title>Again</title>"
    waiting = [{"do": "wait_for", "selector": "#never", "timeout_ms": 1_500}]
    error = shared.fail({"url": shared.site.url("/again"), "actions": waiting})
    assert (error.error_class, error.retryable) == ("unsettled", True)
    assert "times during this step" in error.message


def test_a_page_that_changes_its_address_is_not_restless(shared: Bench) -> None:
    """Navigations within a document are not the cause of a timeout."""
    shared.site.pages["/hash"] = "<script>setInterval(() => history.pushState(0, '', '#' + Date.now()), 50)</script>"
    waiting = [{"do": "wait_for", "selector": "#never", "timeout_ms": 700}]
    error = shared.fail({"url": shared.site.url("/hash"), "actions": waiting})
    assert error.error_class == "timeout"


def test_a_document_that_a_link_creates_is_saved(shared: Bench) -> None:
    """The HTML is read again if the document was being replaced."""
    target = "javascript:&quot;<title>Made</title><p>made</p>&quot;"
    shared.site.pages["/made"] = link(target)
    found = shared.run({"url": shared.site.url("/made"), "actions": CLICK, "screenshot": True})
    assert b"made" in artifact(found, "page.html")


@pytest.mark.parametrize("full_page", [False, True])
def test_a_screenshot_of_a_page_that_was_left_is_taken_again(
    shared: Bench, full_page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chromium does not return it if the page navigates during it: the next page decides, not a timeout."""
    shared.site.pages["/left"] = "<title>Left</title><p>x</p>"
    real, calls = DevTools.capture, []

    async def capture(self: DevTools, clip: Any) -> bytes:
        calls.append(clip)
        if len(calls) > 1:
            return await real(self, clip)
        await self.send("Runtime.evaluate", {"expression": "location = '/status/404'"})
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(DevTools, "capture", capture)
    error = shared.fail({"url": shared.site.url("/left"), "screenshot": True, "full_page": full_page})
    assert (error.error_class, error.message.endswith("the server responded with 404.")) == ("http_status", True)
    assert {"screenshot.png", "page.html"} <= names(error)


def test_html_of_a_page_that_is_being_left_is_that_of_the_next(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again after the next page has arrived, however often it could not be read before."""
    shared.site.pages["/leaving"] = "<title>Leaving</title><p>x</p>"
    real, navigated = Page.content, asyncio.Event()

    async def content(self: Page) -> str:
        if not navigated.is_set():
            self.once("framenavigated", lambda _: navigated.set())
            await self.evaluate("void setTimeout(() => location = '/slow/200', 0)")
            raise Error("Page.content: Unable to retrieve content because the page is navigating and changing it")
        return await real(self)

    monkeypatch.setattr(Page, "content", content)
    found = shared.run({"url": shared.site.url("/leaving")})
    assert b"<title>Slow</title>" in artifact(found, "page.html")
