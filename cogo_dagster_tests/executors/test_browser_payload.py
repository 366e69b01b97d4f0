"""Validation of browser payloads."""

from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.settings import load_settings

URL = "https://example.com/"


def shots(number: int) -> list[dict[str, str]]:
    """Return actions that each save a file."""
    return [{"do": "screenshot", "name": f"s{index}"} for index in range(number)]


@pytest.fixture
def executor() -> BrowserExecutor:
    """An executor that is not started: validation needs no browser."""
    return BrowserExecutor(BrowserOptions())


@pytest.mark.parametrize(
    "payload",
    [
        {"url": URL},
        {"url": URL, "actions": [], "viewport": {"width": 800}},
        {"url": URL, "actions": [{"do": "wait_for", "selector": "#a", "state": "hidden"}], "pdf": True},
        {
            "url": URL,
            "actions": [{"do": "select", "selector": "#a", "value": ["x", "y"]}],
            "extra_headers": {"A-B": "c"},
        },
    ],
)
def test_a_valid_payload_is_stored_as_given(executor: BrowserExecutor, payload: dict[str, Any]) -> None:
    """Defaults are not stored, so that the idempotency key depends only on the given payload."""
    assert executor.validate("browser", payload, load_settings()) == payload


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([], 'The payload must be an object such as {"url": "https://example.com"}.'),
        ({}, "The payload has no url."),
        ({"url": URL, "clicks": 1}, "The payload's clicks is unknown."),
        ({"url": "https://u:p@example.com/"}, "must not contain a user name"),
        ({"url": "http://10.0.0.1/"}, "add 10.0.0.1 to BROWSER_ALLOWED_HOSTS to allow it."),
        ({"url": URL, "actions": [{"do": "goto", "url": "http://[::1]/"}]}, "add ::1 to BROWSER_ALLOWED_HOSTS"),
        ({"url": URL, "actions": [{"do": "evaluate", "script": "1"}]}, "The payload's actions.0: Input tag 'evaluate'"),
        ({"url": URL, "actions": [{"do": "click"}]}, "The payload has no actions.0.click.selector."),
        ({"url": URL, "actions": [{"do": "wait", "ms": 10**9}]}, "actions.0.wait.ms: "),
        ({"url": URL, "actions": [{"do": "wait", "ms": 1}] * 51}, "The payload's actions: "),
        ({"url": URL, "actions": [{"do": "wait_for"}]}, "wait_for takes exactly one of selector, text and url"),
        ({"url": URL, "actions": [{"do": "screenshot", "name": "../x"}]}, "actions.0.screenshot.name: "),
        ({"url": URL, "actions": [{"do": "pdf", "name": "page"}]}, "the name page is reserved"),
        ({"url": URL, "actions": [{"do": "pdf", "name": "a"}] * 2}, "two actions are named a"),
        ({"url": URL, "actions": shots(24)}, "The job would save 26 files; the limit is 25."),
        ({"url": URL, "actions": shots(23), "trace": True}, "The job would save 26 files; the limit is 25."),
        ({"url": URL, "extra_headers": {"Host": "x"}}, "Host is a connection header and cannot be set"),
        ({"url": URL, "extra_headers": {"A": "b\r\nC: d"}}, "'A' is not a valid header"),
        ({"url": URL, "viewport": {"width": 10}}, "viewport.width: "),
        ({"url": URL, "timeout_ms": 0}, "timeout_ms: "),
        ({"url": URL, "user_agent": "a\nb"}, "user_agent: "),
    ],
)
def test_an_invalid_payload_is_rejected_with_a_message(executor: BrowserExecutor, payload: Any, message: str) -> None:
    """The error names the field and the problem."""
    with pytest.raises(InvalidPayload) as error:
        executor.parse("browser", payload)
    assert message in str(error.value)
    assert str(error.value).endswith(".")


def test_as_many_files_as_the_limit_are_accepted(executor: BrowserExecutor) -> None:
    """The screenshot and the HTML of every job count, unless they are turned off."""
    executor.parse("browser", {"url": URL, "actions": shots(23)})
    executor.parse("browser", {"url": URL, "actions": shots(25), "screenshot": False, "html": False})


def test_an_unknown_type_is_rejected(executor: BrowserExecutor) -> None:
    """A misspelt type is rejected when it is enqueued."""
    with pytest.raises(InvalidPayload, match=r"Unknown type browser\.pfd"):
        executor.parse("browser.pfd", {"url": URL})
