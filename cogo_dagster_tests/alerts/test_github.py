"""The GitHub target: valid requests, one issue per cause, and messages for errors."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.alerts.github import EVENT_TYPE
from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.alerts.receipt import DeliveryOutcome, Receipt
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.alerts.github_server import TOKEN, GitHub, description
from cogo_dagster_tests.alerts.messages import a_message, a_weekly, an_alert, worst
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, receiving
from cogo_dagster_tests.alerts.test_targets import send


@pytest.fixture
def github() -> GitHub:
    """Return the repository."""
    return GitHub()


@pytest.fixture
def receiver(github: GitHub) -> Iterator[Receiver]:
    """Run the API."""
    description()  # loading it takes longer than the timeout of a request
    with receiving(github) as receiver:
        yield receiver


def tell(receiver: Receiver, message: Message, delivery: str = "issues", **given: str) -> Receipt:
    """Send a message to the repository."""
    base: dict[str, Any] = {"WEBHOOK_SECRET": "", "GITHUB_OWNER": "acme", "GITHUB_REPO": "shop", "GITHUB_TOKEN": TOKEN}
    return send(
        "github",
        receiver,
        message,
        **(base | given),
        GITHUB_API_URL=receiver.url("").rstrip("/"),
        COGO_GITHUB_DELIVERY=delivery,
    )


def another(message: Message, event: Event = Event.FIRING) -> Message:
    """Return a later message about the same alerts."""
    return replace(message, message_id=uuid4(), event=event)


@pytest.mark.parametrize("message", [a_message(), worst(), a_weekly("# Week")], ids=["one", "worst", "weekly"])
def test_a_dispatch_matches_githubs_description(receiver: Receiver, github: GitHub, message: Message) -> None:
    """The event is valid, and its payload has the single property that the workflow reads."""
    assert tell(receiver, message, "dispatch").outcome is DeliveryOutcome.DELIVERED
    assert github.faults == []
    [payload] = github.dispatches
    assert payload["event_type"] == EVENT_TYPE
    assert set(payload["client_payload"]) == {"alert"}


def test_the_workflow_handles_what_is_sent() -> None:
    """The workflow has the event type, reads every field of the payload, and interpolates nothing into its script."""
    text = (PROJECT_ROOT / ".github" / "workflows" / "alert-issues.yml").read_text(encoding="utf-8")
    assert f"types: [{EVENT_TYPE}]" in text
    assert "const { event, title, body, labels, mark } = context.payload.client_payload.alert" in text
    assert "${{" not in text.partition("script:")[2]
    assert "client_payload.alert.labels[0]" in text.partition("concurrency:")[2].partition("jobs:")[0]
    assert "cancel-in-progress: false" in text
    assert re.search(r"uses: actions/github-script@[0-9a-f]{40}", text)


def test_one_issue_per_cause_commented_and_closed(receiver: Receiver, github: GitHub) -> None:
    """Firing opens an issue, a repeat comments on it, a resolution closes it with a reason."""
    first = a_message()
    assert tell(receiver, first).reference == "#1"
    tell(receiver, another(first, Event.REPEAT))
    tell(receiver, another(first, Event.RESOLVED))
    [issue] = github.issues
    assert (issue["state"], issue["state_reason"], len(github.comments)) == ("closed", "completed", 2)
    tell(receiver, another(first))
    assert len(github.issues) == 2
    assert github.faults == []


def test_a_repeated_message_is_written_once(receiver: Receiver, github: GitHub) -> None:
    """Sending a message again with the same id adds neither an issue nor a comment."""
    first = a_message()
    for _ in range(2):
        tell(receiver, first)
    second = another(first, Event.REPEAT)
    for _ in range(2):
        tell(receiver, second)
    assert (len(github.issues), len(github.comments)) == (1, 1)


def test_several_alerts_share_an_issue_until_all_are_resolved(receiver: Receiver, github: GitHub) -> None:
    """Each resolution removes a label; the last one closes the issue."""
    several = a_message(*(an_alert(number) for number in range(3)))
    tell(receiver, several)
    for number in range(3):
        assert github.issues[0]["state"] == "open"
        tell(receiver, another(a_message(an_alert(number)), Event.RESOLVED))
    assert github.issues[0]["state"] == "closed"
    assert len(github.issues) == 1
    assert github.faults == []


def test_a_weekly_summary_closes_the_previous_one(receiver: Receiver, github: GitHub) -> None:
    """Only the last summary is open."""
    for _ in range(2):
        tell(receiver, another(a_weekly("# Week"), Event.ANNOUNCEMENT))
    assert [issue["state"] for issue in github.issues] == ["closed", "open"]


@pytest.mark.parametrize("delivery", ["dispatch", "issues"])
def test_a_404_is_explained(receiver: Receiver, delivery: str) -> None:
    """The message names the repository, the settings, and the required kind of token."""
    receipt = tell(receiver, a_message(), delivery, GITHUB_REPO="misspelt")
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, "http_404")
    for text in ("acme/misspelt", "GITHUB_OWNER", "access", "SSO", "classic token", "`repo` and `workflow`", "Admin"):
        assert text in (receipt.message or "")


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (Reply(401, "{}"), DeliveryOutcome.DEAD, "GITHUB_TOKEN is wrong"),
        (Reply(403, "{}", {"X-GitHub-SSO": "required; url=https://x"}), DeliveryOutcome.DEAD, "Configure SSO"),
        (Reply(403, "{}", {"X-Accepted-GitHub-Permissions": "issues=write"}), DeliveryOutcome.DEAD, "issues=write"),
        (Reply(403, "{}", {"Retry-After": "60"}), DeliveryOutcome.RETRY, "limits the request rate"),
        (
            Reply(403, '{"message": "You have exceeded a secondary rate limit"}'),
            DeliveryOutcome.RETRY,
            "limits the request rate",
        ),
        (Reply(429, "{}"), DeliveryOutcome.RETRY, "limits the request rate"),
        (Reply(422, "{}"), DeliveryOutcome.DEAD, "422"),
        (Reply(502, "{}"), DeliveryOutcome.RETRY, "502"),
    ],
)
def test_error_responses_are_distinguished(
    receiver: Receiver, reply: Reply, outcome: DeliveryOutcome, text: str
) -> None:
    """Rate limits (also as 403) are retried, other errors are dead; no message contains the token."""
    receiver.next.append(reply)
    receipt = tell(receiver, a_message(), "dispatch")
    assert receipt.outcome is outcome
    assert text in (receipt.message or "")
    assert outcome is not DeliveryOutcome.RETRY or reply.status == 502 or receipt.retry_after_seconds == 60
    assert TOKEN not in str(receipt)
