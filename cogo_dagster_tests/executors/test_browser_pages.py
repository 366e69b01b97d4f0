"""Actions and results of jobs, in a real browser with a real server."""

import io
import json
import struct
import zipfile
from typing import Any

import pytest

from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.queue.workspace import Workspace
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.executors.bench import Bench, artifact, names


def size_px(png: bytes) -> tuple[int, int]:
    """Return the width and height in the PNG's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_a_page_leaves_a_screenshot_and_its_html(shared: Bench) -> None:
    """A job runs the page's scripts and leaves a PNG of the window, the HTML and a small JSON result."""
    found = shared.do(shared.attempt({"url": shared.site.url("/"), "viewport": {"width": 640, "height": 480}}))
    assert names(found) == {"screenshot.png", "page.html"}
    assert size_px(artifact(found, "screenshot.png")) == (640, 480)
    assert b"by script" in artifact(found, "page.html")
    assert {key: found.result[key] for key in ("mode", "url", "status", "title")} == {
        "mode": "browser",
        "url": shared.site.url("/"),
        "status": 200,
        "title": "Home",
    }
    assert found.result["browser"][0].isdigit()
    assert any(step["step"].startswith("goto") and step["duration_ms"] >= 0 for step in found.result["steps"])


def test_extract_takes_text_and_attributes(shared: Bench) -> None:
    """The text or attribute of the first match or of all is in the result and in extracted.json."""
    actions = [
        {"do": "extract", "name": "first", "selector": "a"},
        {"do": "extract", "name": "all", "selector": "a", "all": True},
        {"do": "extract", "name": "links", "selector": "a", "attribute": "href", "all": True},
    ]
    found = shared.run({"url": shared.site.url("/list"), "actions": actions})
    expected = {"first": "first", "all": ["first", "second", "third"], "links": ["/a", "/b", None]}
    assert found.result["extracted"] == expected
    assert json.loads(artifact(found, "extracted.json")) == expected
    assert found.result["notes"] == []  # there was no event to note


def test_a_form_is_filled_and_sent(shared: Bench) -> None:
    """A form is filled and submitted by click and by key, and its values are not in the recorded steps."""
    actions = [
        {"do": "fill", "selector": "#name", "value": "Ada"},
        {"do": "select", "selector": "#tone", "value": "loud"},
        {"do": "screenshot", "name": "filled", "selector": "form"},
        {"do": "click", "selector": "#go"},
        {"do": "wait_for", "url": "**/greet?*"},
        {"do": "wait_for", "text": "name=Ada"},
        {"do": "extract", "name": "who", "selector": "#who"},
        {"do": "goto", "url": shared.site.url("/form")},
        {"do": "fill", "selector": "#name", "value": "Bob"},
        {"do": "press", "selector": "#name", "key": "Enter"},
        {"do": "wait_for", "selector": "#who"},
        {"do": "press", "key": "PageDown"},
        {"do": "wait", "ms": 1},
    ]
    found = shared.run({"url": shared.site.url("/form"), "actions": actions})
    assert found.result["extracted"]["who"] == "name=Ada&tone=loud"
    assert found.result["title"] == "Greeting"
    assert "name=Bob" in found.result["url"]
    assert artifact(found, "filled.png").startswith(b"\x89PNG")
    assert "Ada" not in json.dumps(found.result["steps"]).replace("text name=Ada", "").replace("wait_for name=Ada", "")


def test_pdf_by_action(shared: Bench) -> None:
    """The action `pdf` has its own file name."""
    found = shared.run({"url": shared.site.url(), "screenshot": True, "actions": [{"do": "pdf", "name": "copy"}]})
    assert names(found) == {"screenshot.png", "page.html", "copy.pdf"}
    assert artifact(found, "copy.pdf").startswith(b"%PDF-")


def test_context_options_reach_the_page(shared: Bench) -> None:
    """User agent, locale, time zone, color scheme, viewport and headers reach the page."""
    found = shared.run(
        {
            "url": shared.site.url("/agent"),
            "user_agent": "cogo/1",
            "locale": "ko-KR",
            "timezone": "Asia/Seoul",
            "color_scheme": "dark",
            "viewport": {"width": 333, "height": 222},
            "extra_headers": {"X-Team": "ops"},
            "actions": [{"do": "extract", "name": "p", "selector": "#p"}],
        }
    )
    assert found.result["extracted"]["p"] == "cogo/1|ko-KR|Asia/Seoul|true|333x222"
    assert shared.site.headers["/agent"]["x-team"] == "ops"


def test_contexts_share_nothing(shared: Bench) -> None:
    """A cookie of one job is not visible to the next."""
    shared.site.pages["/cookie"] = (
        "<p id='before'></p><script>before.textContent = document.cookie || 'none'; document.cookie = 'a=1'</script>"
    )
    payload = {
        "url": shared.site.url("/cookie"),
        "actions": [{"do": "extract", "name": "before", "selector": "#before"}],
    }
    assert shared.run(payload).result["extracted"] == {"before": "none"}
    assert shared.run(payload).result["extracted"] == {"before": "none"}


def test_a_failure_leaves_a_trace_and_a_screenshot(shared: Bench) -> None:
    """An element that never appears is a retryable timeout whose message has the step, with evidence."""
    error = shared.fail(
        {
            "url": shared.site.url(),
            "actions": [{"do": "click", "selector": "#nowhere", "timeout_ms": 200}],
            "trace": True,
        }
    )
    assert (error.error_class, error.retryable) == ("timeout", True)
    assert error.message == "click #nowhere: timed out (Timeout 200ms exceeded)."
    assert names(error) == {"trace.zip", "screenshot.png", "page.html", "evidence.json"}
    assert any(name.endswith(".trace") for name in zipfile.ZipFile(io.BytesIO(artifact(error, "trace.zip"))).namelist())


def test_an_invalid_selector_is_permanent(shared: Bench) -> None:
    """An invalid selector or action is permanent."""
    error = shared.fail({"url": shared.site.url(), "actions": [{"do": "click", "selector": "css=[["}]})
    assert (error.error_class, error.retryable) == ("selector", False)
    error = shared.fail({"url": shared.site.url(), "actions": [{"do": "fill", "selector": "h1", "value": "x"}]})
    assert (error.error_class, error.retryable) == ("action", False)


@pytest.mark.parametrize(
    ("status", "retryable", "delay_seconds"),
    [(404, False, None), (429, True, 7.0), (503, True, 7.0)],
)
def test_an_http_error_is_a_failure(shared: Bench, status: int, retryable: bool, delay_seconds: float | None) -> None:
    """Server errors and rate limits are retryable with the delay of Retry-After; other statuses are permanent."""
    error = shared.fail({"url": shared.site.url(f"/status/{status}")})
    assert (error.error_class, error.retryable, error.delay_seconds) == ("http_status", retryable, delay_seconds)
    assert error.message == f"goto {shared.site.url(f'/status/{status}')}: the server responded with {status}."
    assert "screenshot.png" in names(error)


def test_a_download_is_not_a_page(shared: Bench) -> None:
    """Navigating to a download is a permanent failure."""
    error = shared.fail({"url": shared.site.url("/download")})
    assert (error.error_class, error.retryable) == ("download", False)


def test_plain_http_behind_https_is_a_tls_failure(shared: Bench) -> None:
    """A failed TLS handshake is permanent."""
    error = shared.fail({"url": f"https://{shared.site.authority}/"})
    assert (error.error_class, error.retryable) == ("tls", False)


def test_lone_surrogates_are_replaced_and_noted(shared: Bench, owner: Owner) -> None:
    """Lone surrogates and U+0000 in title and text are replaced, with notes, and the job succeeds."""
    shared.site.pages["/half"] = (
        "<meta charset=utf-8><p id=p></p><p class=q>whole</p><script>const t = '주문 완료 🎉 감사합니다';"
        "document.title = t.slice(0, 7) + '…'; p.textContent = t.slice(0, 7); p.title = 'a\\0b';</script>"
    )
    actions = [
        {"do": "extract", "name": "text", "selector": "#p"},
        {"do": "extract", "name": "hint", "selector": "#p", "attribute": "title", "all": True},
        {"do": "extract", "name": "sound", "selector": ".q"},
    ]
    found = shared.run({"url": shared.site.url("/half"), "actions": actions, "html": True})
    assert found.result["title"] == "주문 완료 \ufffd…"
    assert found.result["extracted"] == {"text": "주문 완료 \ufffd", "hint": ["a\ufffdb"], "sound": "whole"}
    assert json.loads(artifact(found, "extracted.json")) == found.result["extracted"]
    noted = [note.split()[0] for note in found.result["notes"] if "U+FFFD" in note]
    assert noted == ["text", "hint", "page.html", "title"]
    row = owner.execute("select %s::jsonb", (json.dumps(found.result),)).fetchone()
    assert row == (found.result,)


@pytest.mark.parametrize("reached", [True, False])
def test_the_end_is_announced_before_the_final_steps(
    shared: Bench, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker claims the next job while a page is saved; a job that fails earlier ends without notice."""
    shared.site.pages["/end"] = "<title>End</title><p>x</p>"
    order: list[str] = []
    real = DevTools.capture

    async def capture(self: DevTools, clip: Any) -> bytes:
        order.append("captured")
        return await real(self, clip)

    monkeypatch.setattr(DevTools, "capture", capture)
    monkeypatch.setattr(Workspace, "ends_soon", lambda _: order.append("announced"))
    if reached:
        shared.run({"url": shared.site.url("/end"), "screenshot": True})
    else:
        shared.fail({"url": shared.site.url("/end"), "actions": [{"do": "click", "selector": "#no", "timeout_ms": 50}]})
    assert order == (["announced", "captured"] if reached else ["captured"])
