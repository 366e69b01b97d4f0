"""Payloads: what is taken, and what the sentence says about the rest."""

from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.settings import load_settings

URL = "https://example.com/"


@pytest.fixture
def executor() -> BrowserExecutor:
    """Never started: validation needs no browser."""
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
def test_a_good_payload_is_stored_as_it_was_given(executor: BrowserExecutor, payload: dict[str, Any]) -> None:
    """Defaults stay out of the row, so that the idempotency key depends on what was asked for only."""
    assert executor.validate("browser", payload, load_settings()) == payload


@pytest.mark.parametrize(
    ("payload", "sentence"),
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
        ({"url": URL, "actions": [{"do": "pdf", "name": "page"}]}, "the name page is taken"),
        ({"url": URL, "actions": [{"do": "pdf", "name": "a"}] * 2}, "two actions are named a"),
        ({"url": URL, "extra_headers": {"Host": "x"}}, "Host belongs to the connection and cannot be set"),
        ({"url": URL, "extra_headers": {"A": "b\r\nC: d"}}, "'A' is not a valid header"),
        ({"url": URL, "viewport": {"width": 10}}, "viewport.width: "),
        ({"url": URL, "timeout_ms": 0}, "timeout_ms: "),
        ({"url": URL, "user_agent": "a\nb"}, "user_agent: "),
    ],
)
def test_a_bad_payload_gets_a_sentence(executor: BrowserExecutor, payload: Any, sentence: str) -> None:
    """The sentence names the place and what is wrong with it."""
    with pytest.raises(InvalidPayload) as refused:
        executor.parse("browser", payload)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")


def test_only_its_own_types_are_taken(executor: BrowserExecutor) -> None:
    """A misspelt type is refused when it is enqueued."""
    with pytest.raises(InvalidPayload, match=r"There is no type browser\.pfd"):
        executor.parse("browser.pfd", {"url": URL})
