"""GitHub: requests as its own description has them, one issue per cause, and refusals explained."""

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
    """The repository."""
    return GitHub()


@pytest.fixture
def receiver(github: GitHub) -> Iterator[Receiver]:
    """The API."""
    description()  # reading it takes longer than a request may
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
    """A later message about the same alerts."""
    return replace(message, message_id=uuid4(), event=event)


@pytest.mark.parametrize("message", [a_message(), worst(), a_weekly("# Week")], ids=["one", "worst", "weekly"])
def test_a_dispatch_is_as_github_describes_it(receiver: Receiver, github: GitHub, message: Message) -> None:
    """One property of the payload, below its size, for the workflow that is shipped."""
    assert tell(receiver, message, "dispatch").outcome is DeliveryOutcome.DELIVERED
    assert github.faults == []
    [payload] = github.dispatches
    assert payload["event_type"] == EVENT_TYPE
    assert set(payload["client_payload"]) == {"alert"}


def test_the_workflow_listens_to_what_is_sent() -> None:
    """Its event, and every field it takes out of the payload; nothing of it is put into a script's text."""
    text = (PROJECT_ROOT / ".github" / "workflows" / "alert-issues.yml").read_text(encoding="utf-8")
    assert f"types: [{EVENT_TYPE}]" in text
    assert "const { event, title, body, labels, mark } = context.payload.client_payload.alert" in text
    assert "${{" not in text.partition("script:")[2]
    assert "client_payload.alert.labels[0]" in text.partition("concurrency:")[2].partition("jobs:")[0]
    assert "cancel-in-progress: false" in text
    assert re.search(r"uses: actions/github-script@[0-9a-f]{40}", text)


def test_one_issue_per_cause_commented_and_closed(receiver: Receiver, github: GitHub) -> None:
    """Opened, told that it goes on, closed with the reason."""
    first = a_message()
    assert tell(receiver, first).reference == "#1"
    tell(receiver, another(first, Event.REPEAT))
    tell(receiver, another(first, Event.RESOLVED))
    [issue] = github.issues
    assert (issue["state"], issue["state_reason"], len(github.comments)) == ("closed", "completed", 2)
    tell(receiver, another(first))
    assert len(github.issues) == 2
    assert github.faults == []


def test_a_message_that_arrives_twice_is_written_once(receiver: Receiver, github: GitHub) -> None:
    """Its reply was lost: the same id again adds nothing."""
    first = a_message()
    for _ in range(2):
        tell(receiver, first)
    second = another(first, Event.REPEAT)
    for _ in range(2):
        tell(receiver, second)
    assert (len(github.issues), len(github.comments)) == (1, 1)


def test_a_storm_shares_an_issue_until_the_last_is_over(receiver: Receiver, github: GitHub) -> None:
    """Each kind takes its label away when it ends."""
    storm = a_message(*(an_alert(number) for number in range(3)))
    tell(receiver, storm)
    for number in range(3):
        assert github.issues[0]["state"] == "open"
        tell(receiver, another(a_message(an_alert(number)), Event.RESOLVED))
    assert github.issues[0]["state"] == "closed"
    assert len(github.issues) == 1
    assert github.faults == []


def test_a_new_week_closes_the_one_before(receiver: Receiver, github: GitHub) -> None:
    """One open summary at a time."""
    for _ in range(2):
        tell(receiver, another(a_weekly("# Week"), Event.ANNOUNCEMENT))
    assert [issue["state"] for issue in github.issues] == ["closed", "open"]


@pytest.mark.parametrize("delivery", ["dispatch", "issues"])
def test_a_404_is_explained_as_the_runbook_does(receiver: Receiver, delivery: str) -> None:
    """Token access, SSO, owner and repository; and which token to prefer."""
    receipt = tell(receiver, a_message(), delivery, GITHUB_REPO="misspelt")
    assert (receipt.outcome, receipt.error_class) == (DeliveryOutcome.DEAD, "http_404")
    for words in ("acme/misspelt", "GITHUB_OWNER", "access", "SSO", "classic token", "`repo` and `workflow`", "Admin"):
        assert words in (receipt.sentence or "")


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (Reply(401, "{}"), DeliveryOutcome.DEAD, "GITHUB_TOKEN is wrong"),
        (Reply(403, "{}", {"X-GitHub-SSO": "required; url=https://x"}), DeliveryOutcome.DEAD, "Configure SSO"),
        (Reply(403, "{}", {"X-Accepted-GitHub-Permissions": "issues=write"}), DeliveryOutcome.DEAD, "issues=write"),
        (Reply(403, "{}", {"Retry-After": "60"}), DeliveryOutcome.RETRY, "limits our rate"),
        (
            Reply(403, '{"message": "You have exceeded a secondary rate limit"}'),
            DeliveryOutcome.RETRY,
            "limits our rate",
        ),
        (Reply(429, "{}"), DeliveryOutcome.RETRY, "limits our rate"),
        (Reply(422, "{}"), DeliveryOutcome.DEAD, "422"),
        (Reply(502, "{}"), DeliveryOutcome.RETRY, "502"),
    ],
)
def test_refusals_are_told_apart(receiver: Receiver, reply: Reply, outcome: DeliveryOutcome, words: str) -> None:
    """GitHub limits by 403 too; whatever it is, the token is not said."""
    receiver.next.append(reply)
    receipt = tell(receiver, a_message(), "dispatch")
    assert receipt.outcome is outcome
    assert words in (receipt.sentence or "")
    assert outcome is not DeliveryOutcome.RETRY or reply.status == 502 or receipt.retry_after_seconds == 60
    assert TOKEN not in str(receipt)
