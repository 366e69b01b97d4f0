"""Rendering for each target: the content of messages, and the limits of targets with extreme input."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.alerts import github_issue, google_chat, http, slack
from cogo_dagster.alerts.messages import Event, Message
from cogo_dagster.alerts.notice import notice
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.alerts.messages import NOW, a_message, a_weekly, an_alert, settings, worst
from cogo_dagster_tests.alerts.receivers import slack_faults

SETTINGS = settings()
WEEK = (
    "# Week 47\n\n| type | runs |\n|---|---:|\n| browser | 12 |\n\n**Fine**, see [the page](https://ops.example.com/w)."
)
EVERY = [
    pytest.param(worst(event, count), id=f"{event} {count}")
    for event in (Event.FIRING, Event.REPEAT, Event.RESOLVED)
    for count in (1, 25)
] + [pytest.param(a_weekly(WEEK * 400, facts=[{"name": "n" * 99, "value": "<" * 999}] * 60), id="announcement")]


def slack_body(message: Message) -> dict[str, Any]:
    """Render a message for Slack."""
    return slack.render(notice(message, SETTINGS))


def chat_body(message: Message) -> dict[str, Any]:
    """Render a message for Google Chat."""
    return google_chat.render(message, notice(message, SETTINGS), message.alerts[0].fingerprint)


def text_of(body: Any) -> str:
    """Return all text of a request."""
    return json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("message", EVERY)
def test_slack_accepts_extreme_messages(message: Message) -> None:
    """Blocks, sections and their total are within Slack's limits, and mentions are escaped."""
    body = slack_body(message)
    assert slack_faults(body["blocks"]) == []
    assert len(body["text"]) < 40_000
    marked_up = text_of([block for block in body["blocks"] if block["type"] == "section"]) + body["text"]
    assert "<!channel>" not in marked_up
    assert "<https://evil" not in marked_up
    if message.event is not Event.ANNOUNCEMENT:
        assert sum(block["text"]["text"].startswith("*") for block in body["blocks"][1:]) == len(message.alerts)


@pytest.mark.parametrize("message", EVERY)
def test_google_chat_accepts_extreme_messages(message: Message) -> None:
    """Text and total size are within Google Chat's limits, and mentions are escaped."""
    body = chat_body(message)
    assert len(body["text"]) <= 4_000
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= 32_000
    assert "<users/all>" not in text_of(body)
    if message.event is not Event.ANNOUNCEMENT:
        widgets = body["cardsV2"][0]["card"]["sections"][0]["widgets"]
        assert sum("textParagraph" in widget for widget in widgets) == len(message.alerts)


@pytest.mark.parametrize("message", EVERY)
def test_github_accepts_extreme_messages(message: Message) -> None:
    """Title, body, labels and payload are within GitHub's limits, and mentions are broken."""
    issue = github_issue.issue(message, notice(message, SETTINGS))
    payload = {"event_type": "cogo-alert", "client_payload": {"alert": issue.to_json()}}
    assert len(json.dumps(payload).encode()) < 64_000
    assert len(issue.title) <= 256
    assert all(len(label) <= 50 for label in issue.labels)
    assert issue.body.endswith(issue.mark)
    if message.event is not Event.ANNOUNCEMENT:
        assert len(issue.labels) == len(message.alerts)
        assert "@everyone" not in issue.body.replace("```text", "").split("```")[0]


@pytest.mark.parametrize("message", EVERY)
def test_http_documents_are_limited(message: Message) -> None:
    """The document has at most 20 kB and contains every alert."""
    body = http.render(message, notice(message, SETTINGS), NOW)
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= 20_000
    if message.event is not Event.ANNOUNCEMENT:
        assert len(body["data"]["alerts"]) == len(message.alerts)


@pytest.mark.parametrize("render", [slack_body, chat_body], ids=["slack", "googlechat"])
def test_a_message_has_title_count_times_error_and_links(render: Any) -> None:
    """A message for a firing alert contains what an operator needs."""
    text = text_of(render(a_message()))
    for part in (
        "Failing: Jobs of type browser.pdf fail: timeout",
        "(×12)",
        "2026-11-25 02:45 UTC",
        "12 times",
        "timeout: The page did not load.",
        "https://dagster.example.com/runs/r-1",
        "https://ops.example.com/dashboard/jobs/j-1",
        "https://ops.example.com/api/artifacts/a-1/content",
    ):
        assert part in text


def plain_body(message: Message) -> dict[str, Any]:
    """Render a message for Slack without blocks."""
    return slack.plain(notice(message, SETTINGS))


def issue_body(message: Message) -> str:
    """Render a message as an issue."""
    return github_issue.issue(message, notice(message, SETTINGS)).body


def document(message: Message) -> dict[str, Any]:
    """Render a message for the http target."""
    return http.render(message, notice(message, SETTINGS), NOW)


each_target = pytest.mark.parametrize("render", [slack_body, plain_body, chat_body, issue_body, document])


@each_target
def test_a_message_has_its_job_and_links_to_its_cause_and_trace(render: Any) -> None:
    """An operator reaches the cause, the trace and the silence from the message."""
    refs = {"job_id": "j-1", "run_id": "r-1", "evidence_id": "t-1", "evidence": "trace.zip"}
    text = text_of(render(a_message(an_alert(refs=refs))))
    base = "https://ops.example.com/dashboard"
    for part in (
        '"job_id": "j-1"' if render is document else "Job j-1",
        f"{base}/dlq?fingerprint={0:016x}",
        f"{base}/jobs/j-1",
        f"{base}/jobs/j-1#artifact-t-1",
        f"{base}/alerts/silence?fingerprint={0:016x}",
        "https://dagster.example.com/runs/r-1",
    ):
        assert part in text


@each_target
def test_without_the_dashboard_a_message_has_the_command_to_type(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """METRICS_BASE is not set: the message has the ID of the job, the command for it, and Dagster's address."""
    without = load_settings(COGO_DAGSTER_URL="https://dagster.example.com")
    monkeypatch.setattr("cogo_dagster_tests.alerts.test_rendering.SETTINGS", without)
    alert = an_alert(refs={"job_id": "j-1", "run_id": "r-1", "evidence_id": "t-1", "evidence": "trace.zip"})
    text = text_of(render(a_message(alert)))
    assert "cogo job show j-1" in text
    assert "https://dagster.example.com/runs/r-1" in text
    both = text_of(render(a_message(alert, an_alert(1, kind="worker_dead", refs={}))))
    assert "cogo job show j-1" in both
    assert "cogo list workers" in both


def test_a_repeat_has_the_new_and_the_total_count() -> None:
    """The summary of a repeat has the number of occurrences since the last message, and in total."""
    alert = an_alert(new_count=8, count=20, announced_at=NOW - timedelta(minutes=30))
    content = notice(a_message(alert, event=Event.REPEAT), SETTINGS)
    assert content.headline == "Still failing: Jobs of type browser.pdf fail: timeout (×8)"
    assert content.entries[0].summary == (
        "Occurred 8 times since 2026-11-25 03:15 UTC, 20 in total since 2026-11-25 02:45 UTC."
    )


def test_a_resolution_has_its_reason() -> None:
    """The summary of a resolved alert has its period, the count, and the reason of the resolution."""
    alert = an_alert(resolved_at=NOW, resolution="Commit abc passed.")
    content = notice(a_message(alert, event=Event.RESOLVED), SETTINGS)
    assert content.headline.startswith("Resolved: ")
    assert content.entries[0].summary == (
        "Occurred 12 times from 2026-11-25 02:45 UTC until 2026-11-25 03:45 UTC. Commit abc passed."
    )


def test_a_message_of_many_alerts_lists_all() -> None:
    """The headline has the total, and each alert has an entry."""
    alerts = [an_alert(number, title=f"Cause {number}", new_count=500) for number in range(20)]
    body = slack_body(a_message(*alerts))
    assert body["text"] == "Failing: 20 causes, 10,000 failures"
    assert [number for number in range(20) if f"*Cause {number}*" not in text_of(body)] == []


def test_a_weekly_summary_is_readable_in_chats() -> None:
    """Headings become bold, tables stay aligned, links become links."""
    body = slack_body(a_weekly(WEEK))
    text = body["blocks"][1]["text"]["text"]
    assert "*Week 47*" in text
    assert "type     runs\nbrowser  12" in text
    assert "*Fine*, see <https://ops.example.com/w|the page>." in text
    assert "<https://ops.example.com/w|the page>" in chat_body(a_weekly(WEEK))["text"]


def test_the_test_message_in_google_chat_is_plain() -> None:
    """The test message has the documented text and nothing else."""
    message = a_message(an_alert(kind="test", title="COGO webhook test"), event=Event.ANNOUNCEMENT)
    assert chat_body(message) == {"text": "COGO webhook test"}


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=3000))
def test_any_text_can_be_sent(title: str, error: str, markdown: str) -> None:
    """Arbitrary text neither exceeds a limit nor raises."""
    for message in (a_message(an_alert(title=title or "x", error_message=error)), a_weekly(markdown)):
        assert slack_faults(slack_body(message)["blocks"]) == []
        assert len(json.dumps(chat_body(message), ensure_ascii=False).encode(errors="replace")) <= 32_000
        github_issue.issue(message, notice(message, SETTINGS))
        http.render(message, notice(message, SETTINGS), NOW)


@pytest.mark.parametrize("length", [140, 149, 150, 151, 300])
def test_slack_limits_count_utf16_units(length: int) -> None:
    """Slack counts UTF-16 units: a header of 150 characters, one of them an emoji, has 151."""
    for title in ("🔥" * length, "x" * length, "🔥" + "x" * length):
        body = slack_body(a_message(an_alert(title=title, error_message="🔥" * 3_000)))
        assert slack_faults(body["blocks"]) == []
    assert slack_faults(slack_body(a_weekly("🔥\n" * 4_000))["blocks"]) == []


@pytest.mark.parametrize("render", [slack_body, chat_body], ids=["slack", "googlechat"])
def test_each_link_is_shown_once(render: Any) -> None:
    """A link is either in the text of an alert or below it."""
    week = a_weekly(WEEK, links=[{"title": "Page", "url": "https://ops.example.com/w"}])
    for message in (a_message(), a_message(an_alert(), an_alert(1, refs={"job_id": "j-2"})), week):
        text = text_of(render(message))
        for link in notice(message, SETTINGS).links:
            assert text.count(f"{link.url}|") + text.count(f'{link.url}"') + text.count(f"{link.url}\\\\") == 1, link


def test_markdown_escapes_are_not_shown_in_chats() -> None:
    """Escaped bars in table cells and escaped underscores are shown without backslashes."""
    text = slack_body(a_weekly("| a | b |\n|---|---|\n| x\\|y | snake\\_case |\n\nplain \\# sign"))["blocks"][1][
        "text"
    ]["text"]
    assert "x|y  snake_case" in text
    assert "plain # sign" in text


def test_headings_stay_headings_on_github() -> None:
    """Only mentions of users and references to issues are broken."""
    body = github_issue.issue(week := a_weekly("## Week 47\n\nsee #12 and @team"), notice(week, SETTINGS)).body
    assert "## Week 47" in body
    assert "#12" not in body
    assert "@team" not in body


@pytest.mark.parametrize(
    "body",
    [
        {"facts": [{"name": "🔥" * 300, "value": "🔥" * 5_000}] * 60},
        {"links": [{"title": "🔥" * 300, "url": "https://ops.example.com/" + "x" * 60_000}] * 20},
        {"links": [{"title": "a", "url": "https://ops.example.com/" + "x" * 7_000}] * 20},
    ],
)
def test_github_accepts_extreme_facts_and_links(body: dict[str, Any]) -> None:
    """The payload stays below 65,535 characters."""
    refs = {"job_id": "j" * 30_000, "run_id": "r" * 30_000}
    for message in (a_weekly("é" * 100_000, **body), a_message(*(an_alert(number, refs=refs) for number in range(25)))):
        issue = github_issue.issue(message, notice(message, SETTINGS))
        payload = {"event_type": "cogo-alert", "client_payload": {"alert": issue.to_json()}}
        assert len(json.dumps(payload)) < 65_535
        assert issue.body.endswith(issue.mark)
