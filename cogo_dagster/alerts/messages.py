"""The data model of alerts.

alert         an episode of one condition: it fires, counts occurrences, and resolves
fingerprint   identifies the cause; threads, labels and silences use it
target        where messages are delivered: slack, googlechat, github, http
message       one request to a target: an alert, several alerts of one event, or an announcement
delivery      the message of one alert to one target
announcement  a message that is sent once and does not report a failure, such as the weekly summary
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import ClaimedAlert, ClaimedMessage

Time = datetime | Unreadable
"""A timestamp, or the reason why that of the row is unreadable."""

_MARKDOWN_LIMIT: Final = 20_000

TEST_TEXT: Final = "COGO webhook test"
"""Text of a test message."""


class Event(StrEnum):
    """What has happened to the alerts of a message."""

    FIRING = "firing"
    REPEAT = "repeat"  # the condition has occurred again since the last message
    RESOLVED = "resolved"
    ANNOUNCEMENT = "announcement"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message to all targets, sent once.

    Attributes:
        key: Identifies the announcement, such as `weekly:2026-W47`.
        kind: `weekly` or `test`; one lower-case word.
        markdown: Text; may contain headings and tables.
        facts: Short names and values, shown before the text.
        links: Titles and URLs.
        image_artifact_id: Artifact with an image to link.
    """

    key: str
    kind: str
    title: str
    markdown: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    image_artifact_id: str | None = None

    def body(self, redact: Callable[[str], str]) -> dict[str, Json]:
        """Return the document to store, with secrets redacted."""
        return {
            "markdown": redact(self.markdown)[:_MARKDOWN_LIMIT],
            "facts": [{"name": redact(name), "value": redact(value)} for name, value in self.facts.items()],
            "links": [{"title": title, "url": url} for title, url in self.links.items()],
            "image_artifact_id": self.image_artifact_id,
        }


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert in a message.

    Attributes:
        count: Number of occurrences.
        new_count: Number of occurrences since the last message to the target.
        announced_at: Time of the last message to the target.
        refs: References for links: `job_id`, `run_id`, `artifact_id`.
        body: Content of an announcement.
    """

    id: str
    fingerprint: str
    kind: str
    subject: str
    title: str
    error_class: str | None
    error_message: str | None
    count: int
    new_count: int
    first_seen_at: Time
    last_seen_at: Time
    resolved_at: Time | None
    resolution: str | None
    announced_at: Time | None
    refs: Mapping[str, str]
    body: Mapping[str, Any]

    @classmethod
    def from_row(cls, row: ClaimedAlert, redact: Callable[[str], str]) -> Self:
        """Convert an alert of a claimed message, with secrets redacted."""
        return cls(
            id=str(row.id),
            fingerprint=row.fingerprint,
            kind=row.kind,
            subject=redact(row.subject),
            title=redact(row.title),
            error_class=row.error_class and redact(row.error_class),
            error_message=row.error_message and redact(row.error_message),
            count=row.count,
            new_count=row.new_count,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            resolved_at=row.resolved_at,
            resolution=row.resolution and redact(row.resolution),
            announced_at=row.announced_at,
            refs=row.refs,
            body=row.body or {},
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a target.

    Attributes:
        message_id: The same on every retry, so that receivers can deduplicate.
        attempt: Number of the attempt, from 1.
    """

    message_id: UUID
    target: str
    event: Event
    attempt: int
    alerts: tuple[Alert, ...]

    @classmethod
    def from_row(cls, row: ClaimedMessage, redact: Callable[[str], str]) -> Self:
        """Convert a claimed message, with secrets redacted."""
        alerts = tuple(Alert.from_row(alert, redact) for alert in row.alerts)
        return cls(row.message_id, row.target, Event(row.event), row.attempt, alerts)
