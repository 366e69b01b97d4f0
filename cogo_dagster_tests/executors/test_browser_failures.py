"""Classification by the last document, and causes that the browser does not report."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.async_api import Error, Locator, Page

from cogo_dagster.executors.browser import evidence
from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.failures import check_document, find_failed_hop, unreached
from cogo_dagster.executors.browser.steps import PageSession
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, artifact, bench, names
from cogo_dagster_tests.executors.rawserver import answering
from cogo_dagster_tests.executors.site import Site

SENDS = {
    "script": ("<script>location = '/status/404'</script>", []),
    "meta": ("<meta http-equiv='refresh' content='0;url=/status/404'>", [{"do": "wait_for", "url": "**/404"}]),
    "click": ("<a id='a' href='/status/404'>x</a>", [{"do": "click", "selector": "#a"}]),
    "key": ("<form action='/status/404'><input id='a'></form>", [{"do": "press", "selector": "#a", "key": "Enter"}]),
    "post": (
        "<form method='post' action='/status/404'><button id='a'>x</button></form>",
        [{"do": "click", "selector": "#a"}],
    ),
}


@pytest.mark.parametrize("navigation", SENDS)
def test_the_status_of_the_last_document_counts(shared: Bench, navigation: str) -> None:
    """The status of the last document fails the job, whatever led to it, and the artifacts are kept."""
    page, actions = SENDS[navigation]
    shared.site.pages["/away"] = f"<title>First</title><p>x</p>{page}"
    error = shared.fail({"url": shared.site.url("/away"), "actions": actions})
    assert (error.error_class, error.retryable) == ("http_status", False), (error.message, error.detail)
    assert error.message.startswith(f"the last document, {shared.site.url('/status/404')}")
    assert error.message.endswith(": the server responded with 404.")
    assert {"screenshot.png", "page.html", "evidence.json"} <= names(error)


NOT_CAPTURED = ("Unable to capture screenshot", "Not attached to an active page.")


@pytest.mark.parametrize(
    ("selector", "reason"), [(None, NOT_CAPTURED[0]), (None, NOT_CAPTURED[1]), ("p", NOT_CAPTURED[0])]
)
def test_a_screenshot_that_could_not_be_captured_is_retried(
    shared: Bench, selector: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screenshot that Chromium could not capture is retried: by Playwright, and then once more."""
    shared.site.pages["/drawn"] = "<p>x</p>"
    of: type = Page if selector is None else Locator
    busy = Error(f"Page.screenshot: Protocol error (Page.captureScreenshot): {reason}")
    taken, real = [], of.screenshot  # type: ignore[attr-defined]

    async def screenshot(self: Page | Locator, **options: Any) -> bytes:
        taken.append(options)
        if len(taken) == 1:
            raise busy
        return cast("bytes", await real(self, **options))

    async def capture(self: DevTools, clip: object) -> bytes:
        raise busy

    monkeypatch.setattr(of, "screenshot", screenshot)
    monkeypatch.setattr(DevTools, "capture", capture)
    actions = [] if selector is None else [{"do": "screenshot", "name": "part", "selector": selector}]
    found = shared.run({"url": shared.site.url("/drawn"), "actions": actions, "screenshot": selector is None})
    assert len(taken) == 2
    assert {artifact.name for artifact in found.artifacts} >= {"screenshot.png" if selector is None else "part.png"}


def test_a_slow_response_to_a_click_is_waited_for(shared: Bench) -> None:
    """A slow response to a click is waited for and fails the job; a server error is retryable."""
    shared.site.pages["/away"] = "<title>First</title><a id='a' href='/slow/503'>x</a>"
    error = shared.fail({"url": shared.site.url("/away"), "actions": [{"do": "click", "selector": "#a"}]})
    assert (error.error_class, error.retryable) == ("http_status", True)


def test_an_error_page_that_was_left_does_not_fail_the_job(shared: Bench) -> None:
    """An error page that was left again does not fail the job; pushState does not change the status."""
    shared.site.pages["/away"] = "<a id='a' href='/status/404'>x</a>"
    shared.site.pages["/back"] = "<title>Back</title><script>history.pushState(0, '', '/pushed')</script>"
    actions = [{"do": "click", "selector": "#a"}, {"do": "goto", "url": shared.site.url("/back")}]
    found = shared.run({"url": shared.site.url("/away"), "actions": actions})
    assert (found.result["status"], found.result["title"]) == (200, "Back")
    assert found.result["url"] == shared.site.url("/pushed")


def test_a_revalidated_page_is_a_success(shared: Bench) -> None:
    """A 304 response to the browser's own revalidation is a success."""
    actions = [{"do": "goto", "url": shared.site.url("/tagged")}]
    found = shared.run({"url": shared.site.url("/tagged"), "actions": actions})
    assert (found.result["title"], found.result["status"]) == ("Tagged", 200)


def test_a_script_that_navigates_to_an_unreachable_host_fails(shared: Bench) -> None:
    """A script that navigates to an unreachable host fails the job."""
    shared.site.pages["/away"] = "<script>location = 'http://127.0.0.1:1/'</script>"
    error = shared.fail({"url": shared.site.url("/away")})
    assert error.error_class in ("blocked_address", "network", "connection", "invalid_url")


def test_a_failed_request_of_another_host_is_not_the_cause() -> None:
    """A full Chromium resolves www.google.com for itself: a page that fails has another cause."""
    session = ProxySession()
    session.failures.append(HopFailed("dns", "www.google.com:443", "www.google.com could not be resolved."))
    assert find_failed_hop(session, "http://127.0.0.1:1/", None, "http://127.0.0.1:1/") is None
    with pytest.raises(ExecutionFailed, match="did not load"):
        check_document("chrome-error://chromewebdata/", None, session, "http://127.0.0.1:1/")
    session.failures.append(HopFailed("dns", "shop.test:443", "shop.test could not be resolved."))
    with pytest.raises(ExecutionFailed, match=r"shop\.test could not"):
        check_document("chrome-error://chromewebdata/", None, session, "https://shop.test/cart")


def test_a_click_that_leads_to_a_private_address_fails(shared: Bench, neighbour: Site) -> None:
    """A click that leads to a private address fails the job."""
    shared.site.pages["/away"] = f"<a id='a' href='{neighbour.url('/')}'>x</a>"
    error = shared.fail({"url": shared.site.url("/away"), "actions": [{"do": "click", "selector": "#a"}]})
    assert (error.error_class, error.retryable) == ("blocked_address", False)
    assert neighbour.connections == 0
    assert {"screenshot.png", "page.html"}.isdisjoint(names(error))


def test_only_a_document_of_the_site_is_evidence() -> None:
    """An error page of the browser, a message of the proxy and an empty page are none; the error page of a site is."""
    session = ProxySession()
    assert unreached("https://shop.test/cart", 404, session) is None
    session.failures.append(HopFailed("connection", "shop.test:443", "shop.test could not be reached."))
    assert unreached("https://shop.test/cart", 200, session) is None
    assert unreached("https://other.test/cart", 502, session) is None
    for url, status in (("https://shop.test/cart", 502), ("about:blank", None), ("chrome-error://chromewebdata/", 502)):
        assert unreached(url, status, session)
    assert unreached("about:blank", 200, session) is None  # a page of the site opened it


@pytest.mark.parametrize(("before", "status"), [("", 204), ("", 205), ("", 304), ("/to?", 204), ("/to?", 304)])
def test_a_response_without_a_document_is_permanent(shared: Bench, before: str, status: int) -> None:
    """A response without a document is permanent, also behind a redirect; the message has the status."""
    error = shared.fail({"url": shared.site.url(f"{before}/status/{status}")})
    assert (error.error_class, error.retryable) == ("no_document", False)
    assert f"the server responded with {status}, which has no document" in error.message


TARGETS = [
    "mailto:a@b.example",
    "myapp://open/1",
    "intent://x",
    "ftp://x.example/f",
    "data:text/html,hi",
    "about:blank",
]


@pytest.mark.parametrize("target", [*TARGETS, "javascript:1", "tel:+1", "file:///etc/passwd", "blob:http://x/1"])
def test_a_redirect_to_another_scheme_is_reported_with_its_url(shared: Bench, target: str) -> None:
    """A redirect to a scheme other than http and https is permanent, and the message has the URL."""
    error = shared.fail({"url": shared.site.url(f"/to?{target}")})
    assert (error.error_class, error.retryable) == ("invalid_url", False)
    assert f"it redirects to {target}" in error.message


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
REPLIES = {
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", "not_http", False),
    "binary": (b"\x15\x03\x01\x00\x02\x02\x46", "not_http", False),
    "status": (b"HTTP/1.1 banana\r\n\r\n", "not_http", False),
    "many headers": (
        OK + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 9_000) for n in range(40)) + b"\r\nx",
        "headers",
        False,
    ),
    "one header": (OK + b"X: " + b"v" * 300_000 + b"\r\n\r\nx", "headers", False),
    "gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", "body", False),
    "br": (OK + b"Content-Encoding: br\r\nContent-Length: 20\r\n\r\n" + b"\xff" * 20, "body", False),
    "short": (OK + b"Content-Length: 5000\r\n\r\n<title>x</title>", "body", True),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n10\r\n<p>hello", "body", True),
    "malformed chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXYZ\r\n", "not_http", False),
    "nothing": (b"", "connection", True),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "connection", True),
}


BEFORE_THE_BROWSER = {"binary", "status", "one header"}
"""The proxy answers these as it answers other replies that are no HTTP or have long headers."""


@pytest.fixture
def brief_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for half a second for pictures of a page that returns none."""
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 0.5)


@pytest.mark.usefixtures("brief_evidence")
@pytest.mark.parametrize("reply", sorted(REPLIES.keys() - BEFORE_THE_BROWSER))
def test_broken_servers_have_classes(open_bench: Bench, reply: str) -> None:
    """Invalid HTTP, oversized headers and broken bodies fail at once, not at the timeout."""
    content, error_class, retryable = REPLIES[reply]
    with answering(content, close=reply != "ssh") as authority:
        started = time.monotonic()
        error = open_bench.fail({"url": f"http://{authority}/"})
    assert (error.error_class, error.retryable) == (error_class, retryable), error.message
    assert time.monotonic() - started < 12


@pytest.mark.usefixtures("brief_evidence")
@pytest.mark.parametrize("reply", ["gzip", "short"])
def test_a_broken_body_is_detected_after_the_navigation(open_bench: Bench, reply: str) -> None:
    """A broken body fails the job even if the navigation has already succeeded."""
    content, error_class, _ = REPLIES[reply]
    with answering(content) as authority:
        error = open_bench.fail({"url": f"http://{authority}/", "wait_until": "commit"})
    assert error.error_class == error_class


UNSETTLED = {
    "polls": ("<script>setInterval(() => fetch('/x'), 50)</script>", "networkidle"),
    "reloads": ("<script>location.reload()</script>", "load"),
    "hangs": ("<img src='/hang'>", "load"),
}


@pytest.mark.parametrize("kind", UNSETTLED)
def test_a_page_that_does_not_reach_its_state_has_a_class(
    shared: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that does not reach the state in time is retryable, and the message names the state."""
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 0.3)  # a page that reloads uses a core until it is closed
    page, wait_until = UNSETTLED[kind]
    shared.site.pages["/restless"] = f"<title>Restless</title>{page}"
    error = shared.fail({"url": shared.site.url("/restless"), "wait_until": wait_until, "timeout_ms": 700})
    assert (error.error_class, error.retryable) == ("unsettled", True)
    assert repr(wait_until) in error.message


@pytest.mark.usefixtures("brief_evidence")
def test_a_script_that_navigates_to_another_scheme_is_reported(shared: Bench) -> None:
    """A script that navigates to another scheme is reported with the URL, not only as a timeout."""
    shared.site.pages["/deep"] = "<script>location = 'myapp://open'</script>"
    error = shared.fail({"url": shared.site.url("/deep"), "timeout_ms": 1_500})
    assert (error.error_class, error.retryable) == ("invalid_url", False)
    assert "it redirects to myapp://open" in error.message


FONT = (
    "<title>Font</title><style>@font-face{font-family:Z;src:url(/hang)}</style>"
    "<p id='p' style='font-family:Z'>text</p><div style='height:3000px'></div>"
)


def test_screenshots_are_taken_if_a_font_does_not_load(shared: Bench) -> None:
    """If a font never loads, screenshots are taken with another font, with notes."""
    shared.site.pages["/font"] = FONT
    actions = [
        {"do": "screenshot", "name": "whole", "full_page": True},
        {"do": "screenshot", "name": "element", "selector": "#p"},
    ]
    payload = {
        "url": shared.site.url("/font"),
        "wait_until": "domcontentloaded",
        "timeout_ms": 2_000,
        "screenshot": True,
    }
    found = shared.run({**payload, "actions": actions})
    assert names(found) == {"screenshot.png", "whole.png", "element.png", "page.html"}
    assert sum("before the page was ready" in note for note in found.result["notes"]) == 3


def test_final_steps_run_even_if_one_fails(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one final step fails, the others still run and their artifacts are kept."""

    async def reject_full_page(self: PageSession, name: str, *, full_page: bool, timeout_ms: int) -> None:
        if full_page:
            raise ExecutionFailed("no", error_class="artifact_limit", retryable=False)
        await take_screenshot(self, name, full_page=full_page, timeout_ms=timeout_ms)

    take_screenshot = PageSession.screenshot
    monkeypatch.setattr(PageSession, "screenshot", reject_full_page)
    actions = [{"do": "extract", "name": "h", "selector": "h1"}]
    payload: dict[str, Any] = {"url": shared.site.url("/"), "full_page": True, "pdf": True, "actions": actions}
    error = shared.fail(payload)
    assert error.error_class == "artifact_limit"
    assert {"page.html", "page.pdf", "extracted.json", "screenshot.png"} <= names(error)


def test_errors_of_earlier_documents_are_recorded(shared: Bench) -> None:
    """Console and page errors of a document remain in the evidence after the page has navigated."""
    shared.site.pages["/first"] = (
        "<script>console.error('early'); setTimeout(() => { location = '/second' }); throw Error('first')</script>"
    )
    shared.site.pages["/second"] = "<title>Second</title><script>console.error('late'); throw Error('second')</script>"
    actions = [{"do": "wait_for", "url": "**/second"}]
    found = shared.run({"url": shared.site.url("/first"), "actions": actions}).result
    assert found["title"] == "Second"
    assert found["console_errors"] == ["early", "late"]
    assert found["page_errors"] == ["first", "second"]


def test_a_failure_records_its_evidence(shared: Bench) -> None:
    """evidence.json has the timed steps, console and page errors, failed requests and notes."""
    shared.site.pages["/noisy"] = (
        "<script>console.error('cannot'); setTimeout(() => { throw Error('thrown') }); alert('hello')</script>"
        "<img src='/cut'><img src='/status/404'>"
    )
    error = shared.fail(
        {"url": shared.site.url("/noisy"), "actions": [{"do": "click", "selector": "#no", "timeout_ms": 500}]}
    )
    record = json.loads(artifact(error, "evidence.json"))
    assert [step["step"] for step in record["steps"]][-1] == "click #no"
    assert "cannot" in record["console_errors"]
    assert record["page_errors"] == ["thrown"]
    failed = {request["url"]: request["reason"] for request in record["failed_requests"]}
    assert shared.site.authority in failed
    assert failed[shared.site.url("/status/404")] == "HTTP status 404"
    assert "The alert dialog 'hello' was dismissed" in str(error.detail)


@pytest.mark.usefixtures("brief_evidence")
def test_a_page_that_hangs_ends_at_the_time_limit_of_the_job(shared: Bench) -> None:
    """A page with an endless script ends at the limit, the detail says what is missing, and the next job works."""
    error = shared.fail({"url": shared.site.url("/busy"), "wait_until": "commit"}, timeout_seconds=1)
    assert (error.error_class, error.retryable) == ("timeout", True)
    assert "page.html is missing: " in str(error.detail)
    assert shared.run({"url": shared.site.url()}).result["status"] == 200


def test_http_mode_has_the_same_classes(site: Site, folder: Path) -> None:
    """Without a browser, the same failures have the same classes."""
    options = replace(OPTIONS, real_mode=False, allowed_hosts=("127.0.0.1",))
    with bench(site, folder, options) as http:
        error = http.fail({"url": site.url("/status/204")})
        assert (error.error_class, error.retryable) == ("no_document", False)
        error = http.fail({"url": site.url("/to?myapp://open/1")})
        assert (error.error_class, error.retryable) == ("invalid_url", False)
        assert "myapp://open/1" in error.message
        for reply in ("ssh", "gzip", "many headers", "short", *sorted(BEFORE_THE_BROWSER)):
            content, error_class, retryable = REPLIES[reply]
            with answering(content) as authority:
                error = http.fail({"url": f"http://{authority}/"})
            assert (error.error_class, error.retryable) == (error_class, retryable), reply
