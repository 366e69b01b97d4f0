"""What a message says, before any target's own form: a headline, sentences, facts, links.

Everything that comes in is redacted already; nothing here knows a target's limits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.alerts.messages import Alert, Event, Message, Time
from cogo_dagster.links import alerts_page, artifact_content, dagster_run, job_page
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.settings import Settings

_STATES: Final[Mapping[Event, str]] = {
    Event.FIRING: "Failing",
    Event.REPEAT: "Still failing",
    Event.RESOLVED: "Resolved",
    Event.ANNOUNCEMENT: "",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A page to look closer."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert of a message.

    Attributes:
        sentence: Since when, how often, or how it ended.
        error: Class and first line of the error; None where there is none.
    """

    alert: Alert
    title: str
    sentence: str
    error: str | None
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A whole message.

    Attributes:
        headline: One line that stands alone: a notification, an issue's title.
        entries: Its alerts; empty for an announcement.
        markdown: An announcement's text; empty for alerts.
        facts: Short names and values.
    """

    event: Event
    headline: str
    entries: tuple[Entry, ...]
    facts: tuple[tuple[str, str], ...]
    markdown: str
    links: tuple[Link, ...]


def notice(message: Message, settings: Settings) -> Notice:
    """Say a message in words."""
    if message.event is Event.ANNOUNCEMENT:
        return _announcement(message.alerts[0], settings)
    entries = tuple(_entry(alert, message.event, settings) for alert in message.alerts)
    links = entries[0].links if len(entries) == 1 else _own_links(settings)
    return Notice(message.event, _headline(message), entries, _facts(message), "", links)


def _headline(message: Message) -> str:
    first = message.alerts[0]
    state = _STATES[message.event]
    if len(message.alerts) > 1:
        failures = sum(alert.new_count for alert in message.alerts)
        times = "" if message.event is Event.RESOLVED else f", {failures:,} times"
        return f"{state}: {len(message.alerts)} kinds of failure{times}"
    times = f" (×{first.new_count:,})" if message.event is not Event.RESOLVED and first.new_count > 1 else ""
    return f"{state}: {first.title}{times}"


def _entry(alert: Alert, event: Event, settings: Settings) -> Entry:
    parts = [part for part in (alert.error_class, alert.error_message) if part]
    # A class that only repeats the kind says nothing.
    shown = parts[1:] if parts[:1] == [alert.kind] and len(parts) > 1 else parts
    return Entry(alert, alert.title, _sentence(alert, event), ": ".join(shown) or None, _links(alert, settings))


def _sentence(alert: Alert, event: Event) -> str:
    since = when(alert.first_seen_at)
    if event is Event.RESOLVED:
        ended = f", until {when(alert.resolved_at)}" if alert.resolved_at else ""
        return f"From {since}{ended}, {_times(alert.count)}. {alert.resolution or ''}".strip()
    if event is Event.REPEAT and alert.announced_at:
        return f"×{alert.new_count:,} since {when(alert.announced_at)}; {_times(alert.count)} in all since {since}."
    if alert.count == 1:
        return f"Since {since}, once so far."
    return f"Since {since}, {_times(alert.count)}, last at {when(alert.last_seen_at)}."


def _facts(message: Message) -> tuple[tuple[str, str], ...]:
    if len(message.alerts) > 1:
        return ()
    alert = message.alerts[0]
    return (("What", alert.subject), ("Since", when(alert.first_seen_at)), ("How often", f"{alert.count:,}"))


def _links(alert: Alert, settings: Settings) -> tuple[Link, ...]:
    refs = alert.refs
    found = (
        ("Dagster run", dagster_run(settings, refs["run_id"]) if "run_id" in refs else None),
        ("Job", job_page(settings, refs["job_id"]) if "job_id" in refs else None),
        ("Artifact", artifact_content(settings, refs["artifact_id"]) if "artifact_id" in refs else None),
    )
    return (*(Link(title, url) for title, url in found if url), *_own_links(settings))


def _own_links(settings: Settings) -> tuple[Link, ...]:
    url = alerts_page(settings)
    return (Link("Alerts", url),) if url else ()


def _announcement(alert: Alert, settings: Settings) -> Notice:
    body = alert.body
    image = body.get("image_artifact_id")
    chart = artifact_content(settings, image) if image else None
    given = tuple(Link(link["title"], link["url"]) for link in body.get("links", ()))
    return Notice(
        Event.ANNOUNCEMENT,
        alert.title,
        (),
        tuple((fact["name"], fact["value"]) for fact in body.get("facts", ())),
        body.get("markdown", ""),
        (*given, *((Link("Chart", chart),) if chart else ())),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def when(time: Time) -> str:
    """Write a time as people in several time zones can read it."""
    if isinstance(time, Unreadable):
        return "an unreadable time"
    return f"{time:%Y-%m-%d %H:%M} UTC"


def cut(text: str, limit: int) -> str:
    """Shorten text to a number of characters, and show that it was."""
    return text if len(text) <= limit else f"{text[: max(limit - 1, 0)]}…"


def utf16_units(text: str) -> int:
    """Return how long text is as JavaScript and Java count it, and with them Slack: an emoji counts twice."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def further_links(said: Notice, shown: str) -> tuple[Link, ...]:
    """Return a message's links without those that its text shows already."""
    return tuple(link for link in said.links if link.url not in shown)


def cut_to(text: str, limit: int, measure: Callable[[str], int]) -> str:
    """Shorten text until what becomes of it in a target's own form is small enough.

    Args:
        text: As it is said.
        limit: The most that it may measure.
        measure: How much it is once it is escaped and encoded.
    """
    length = min(len(text), max(limit, 1))
    while measure(shown := cut(text, length)) > limit and length > 1:
        length = length * 3 // 4
    return shown


def fitting(pieces: Sequence[str], limit: int, measure: Callable[[str], int] = len) -> list[str]:
    """Return the first pieces that fit a limit together, one for each line break counted."""
    kept: list[str] = []
    for piece in pieces:
        limit -= measure(piece) + 1
        if limit < 0:
            break
        kept.append(piece)
    return kept
