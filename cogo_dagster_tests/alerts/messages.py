"""Messages for tests of targets, including extreme ones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cogo_dagster.alerts.messages import Alert, Event, Message
from cogo_dagster.settings import Settings, load_settings

NOW = datetime(2026, 11, 25, 3, 45, tzinfo=UTC)
MESSAGE_ID = UUID("01a20e8d-6047-7fe9-a6e2-8fdf820b9ed8")


def settings(**given: Any) -> Settings:
    """Return settings with URLs for links."""
    return load_settings(
        METRICS_BASE="https://ops.example.com", COGO_DAGSTER_URL="https://dagster.example.com", **given
    )


def an_alert(number: int = 0, **changed: Any) -> Alert:
    """Return an alert."""
    facts: dict[str, Any] = {
        "id": f"01a20e8d-6047-7fe9-a6e2-{number:012x}",
        "fingerprint": f"{number:016x}",
        "kind": "job_failed",
        "subject": "browser.pdf",
        "title": "Jobs of type browser.pdf fail: timeout",
        "error_class": "timeout",
        "error_message": "The page did not load.",
        "count": 12,
        "new_count": 12,
        "first_seen_at": NOW - timedelta(hours=1),
        "last_seen_at": NOW,
        "resolved_at": None,
        "resolution": None,
        "announced_at": None,
        "refs": {"job_id": "j-1", "run_id": "r-1", "artifact_id": "a-1"},
        "body": {},
    }
    return Alert(**(facts | changed))


def a_message(*alerts: Alert, event: Event = Event.FIRING, target: str = "slack") -> Message:
    """Return a message."""
    return Message(MESSAGE_ID, target, event, 1, alerts or (an_alert(),))


def a_weekly(markdown: str, **body: Any) -> Message:
    """Return an announcement."""
    alert = an_alert(kind="weekly", title="Week 47", body={"markdown": markdown, **body})
    return a_message(alert, event=Event.ANNOUNCEMENT)


HOSTILE = "<!channel> @everyone #1 & `x` ``` <users/all> <https://evil.example|click> \u202e * _ ~ | \\ 🔥 "


def worst(event: Event = Event.FIRING, count: int = 25) -> Message:
    """Return a message with the maximum number of alerts, long columns, and characters that are escaped."""
    alerts = (
        an_alert(
            number,
            subject=HOSTILE * 2,
            title=(HOSTILE * 10)[:300],
            error_class=("&" * 200),
            error_message=(HOSTILE * 20)[:1000],
            resolution="<" * 300,
            resolved_at=NOW if event is Event.RESOLVED else None,
        )
        for number in range(count)
    )
    return a_message(*alerts, event=event)
