"""Pages that open another document which never arrives, has no content, or is a download."""

import json

import pytest

from cogo_dagster.executors.browser import evidence
from cogo_dagster_tests.executors.bench import Bench, artifact, names

PENDING = "<title>Pending</title><h1>shown</h1><script>setTimeout(() => {{ location = '{}' }}, 20)</script>"
WAIT = {"do": "wait_for", "selector": "#never", "timeout_ms": 600}
"""An action that times out."""


@pytest.fixture(autouse=True)
def brief_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait briefly for files that cannot be saved."""
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 1.5)


def test_a_page_that_waits_for_a_response_is_kept(shared: Bench) -> None:
    """The error of a step that times out names the URL, and the document that is shown is saved."""
    shared.site.pages["/pending"] = PENDING.format("/hang")
    error = shared.fail({"url": shared.site.url("/pending"), "actions": [WAIT]})
    assert (error.error_class, error.retryable) == ("timeout", True)
    assert f"timed out while the page waited for a response from {shared.site.url('/hang')}" in error.message
    assert names(error) == {"screenshot.png", "page.html", "evidence.json"}
    assert b"shown" in artifact(error, "page.html")


def test_the_final_steps_name_the_response_that_is_missing(shared: Bench) -> None:
    """The screenshot and the HTML time out too, and are then saved as evidence."""
    shared.site.pages["/pending"] = PENDING.format("/hang")
    actions = [{"do": "wait", "ms": 200}]
    payload = {"url": shared.site.url("/pending"), "actions": actions, "screenshot": True, "timeout_ms": 500}
    error = shared.fail(payload)
    assert error.message.startswith("screenshot: timed out while the page waited for a response from ")
    assert names(error) == {"screenshot.png", "page.html", "evidence.json"}


def test_a_page_that_waits_at_the_time_limit_is_kept(shared: Bench) -> None:
    """At the time limit of the attempt, the document that is shown is saved."""
    shared.site.pages["/pending"] = PENDING.format("/hang")
    actions = [WAIT | {"timeout_ms": 60_000}]
    error = shared.fail({"url": shared.site.url("/pending"), "actions": actions}, timeout_seconds=1.5)
    assert error.error_class == "timeout"
    assert {"screenshot.png", "page.html"} <= names(error)


@pytest.mark.parametrize(
    ("content", "action"),
    [
        ("<a id='b' href='/status/204'>x</a>", {"do": "click", "selector": "#b"}),
        ("<a id='b' href='/status/204'>x</a>", {"do": "press", "selector": "#b", "key": "Enter"}),
        (PENDING.format("/status/204"), WAIT),
    ],
)
def test_a_response_without_a_document_to_an_action_is_permanent(
    shared: Bench, content: str, action: dict[str, str]
) -> None:
    """The browser's driver waits for the document, which never comes; the message has its URL and status."""
    shared.site.pages["/void"] = content
    actions = [{"do": "wait", "ms": 200}, action | {"timeout_ms": 1_000}]
    error = shared.fail({"url": shared.site.url("/void"), "actions": actions})
    assert (error.error_class, error.retryable) == ("no_document", False)
    assert f"it leads to {shared.site.url('/status/204')}: the server responded with 204" in error.message
    assert {"screenshot.png", "page.html"} <= names(error)


@pytest.mark.parametrize(
    ("target", "error_class", "retryable", "part"),
    [
        ("/status/204", "no_document", False, "responded with 204"),
        ("/download", "download", False, "it is a download, not a page"),
        ("/hang", "timeout", True, "waited for a response from"),
    ],
)
def test_a_script_that_leaves_while_the_page_loads_is_reported(
    shared: Bench, target: str, error_class: str, retryable: bool, part: str
) -> None:
    """The page never reaches `load`; the class and the message tell what its script opened."""
    shared.site.pages["/leaving"] = f"<title>Leaving</title><script>location = '{target}'</script>"
    error = shared.fail({"url": shared.site.url("/leaving"), "timeout_ms": 1_000})
    assert (error.error_class, error.retryable) == (error_class, retryable)
    assert part in error.message
    assert shared.site.url(target) in error.message


def test_a_timeout_of_a_page_that_opens_nothing_is_reported_as_such(shared: Bench) -> None:
    """A step that times out for another reason has the ordinary message, with the timeout of the step."""
    shared.site.pages["/calm"] = "<title>Calm</title><p id='p' hidden>x</p>"
    actions = [{"do": "screenshot", "name": "p", "selector": "#p", "timeout_ms": 600}]
    error = shared.fail({"url": shared.site.url("/calm"), "actions": actions})
    assert error.message == "screenshot #p: timed out (Timeout 600ms exceeded)."
    assert json.loads(artifact(error, "evidence.json"))["steps"][-1]["error"] == error.message
