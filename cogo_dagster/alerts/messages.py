"""The words of alerts.

alert         one episode of something wrong: it fires, counts what goes on, and is resolved
fingerprint   the same for failures that have one cause; threads, labels and silences go by it
target        where messages go: slack, googlechat, github, http
message       what is sent to one target at once: one alert, several alike, or an announcement
delivery      what one target was told of one alert
announcement  something told once that is no failure, such as the weekly summary
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
"""A moment, or why a row's cannot be read."""

_MARKDOWN_LIMIT: Final = 20_000

TEST_TEXT: Final = "COGO webhook test"
"""What a test message says."""


class Event(StrEnum):
    """What a message says of its alerts."""

    FIRING = "firing"
    REPEAT = "repeat"  # it went on since the last word
    RESOLVED = "resolved"
    ANNOUNCEMENT = "announcement"


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something to tell every target once.

    Attributes:
        key: Told once per key: `weekly:2026-W47`.
        kind: `weekly`, `test`: one lower-case word.
        markdown: The text; tables and headings are fine.
        facts: Short names and values, shown first.
        links: Titles and addresses.
        image_artifact_id: A picture that is linked.
    """

    key: str
    kind: str
    title: str
    markdown: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    image_artifact_id: str | None = None

    def body(self, hide: Callable[[str], str]) -> dict[str, Json]:
        """Return the document that is stored, with secrets hidden."""
        return {
            "markdown": hide(self.markdown)[:_MARKDOWN_LIMIT],
            "facts": [{"name": hide(name), "value": hide(value)} for name, value in self.facts.items()],
            "links": [{"title": title, "url": url} for title, url in self.links.items()],
            "image_artifact_id": self.image_artifact_id,
        }


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as a message says it, or as lists show it.

    Attributes:
        count: How often so far.
        new_count: How often since the target was last told.
        announced_at: When that was.
        refs: Where to look closer: `job_id`, `run_id`, `artifact_id`.
        body: What an announcement says.
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
    def from_row(cls, row: ClaimedAlert, hide: Callable[[str], str]) -> Self:
        """Take an alert of a claimed message, with secrets hidden before anything is made of it."""
        return cls(
            id=str(row.id),
            fingerprint=row.fingerprint,
            kind=row.kind,
            subject=hide(row.subject),
            title=hide(row.title),
            error_class=row.error_class and hide(row.error_class),
            error_message=row.error_message and hide(row.error_message),
            count=row.count,
            new_count=row.new_count,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            resolved_at=row.resolved_at,
            resolution=row.resolution and hide(row.resolution),
            announced_at=row.announced_at,
            refs=row.refs,
            body=row.body or {},
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one target.

    Attributes:
        message_id: The same on every retry, for receivers that know what they have.
        attempt: The number of this try, from 1.
    """

    message_id: UUID
    target: str
    event: Event
    attempt: int
    alerts: tuple[Alert, ...]

    @classmethod
    def from_row(cls, row: ClaimedMessage, hide: Callable[[str], str]) -> Self:
        """Take a claimed message."""
        alerts = tuple(Alert.from_row(alert, hide) for alert in row.alerts)
        return cls(row.message_id, row.target, Event(row.event), row.attempt, alerts)
