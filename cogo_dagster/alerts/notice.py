"""Renders a message independently of its target: headline, summaries, facts, links.

All input is redacted before; limits of targets are applied afterwards.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.alerts.messages import Alert, Event, Message, Time
from cogo_dagster.alerts.references import AlertFacts, Reference, command, references
from cogo_dagster.links import alerts_page, artifact_content, dagster_page, dashboard_page
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.settings import Settings

_HINT: Final = 200

_STATES: Final[Mapping[Event, str]] = {
    Event.FIRING: "Failing",
    Event.REPEAT: "Still failing",
    Event.RESOLVED: "Resolved",
    Event.ANNOUNCEMENT: "",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link to further details."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert of a message.

    Attributes:
        summary: How often and when it occurred, and how it was resolved.
        error: Class and first line of the error, if there is one.
        hint: The job, and without METRICS_BASE the command that shows the details.
        command: The command that shows the details.
    """

    alert: Alert
    title: str
    summary: str
    error: str | None
    hint: str | None
    command: str | None
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of a message.

    Attributes:
        headline: One line, used as notification text or issue title.
        entries: The alerts; empty for an announcement.
        markdown: Text of an announcement; empty for alerts.
        facts: Short names and values.
    """

    event: Event
    headline: str
    entries: tuple[Entry, ...]
    facts: tuple[tuple[str, str], ...]
    markdown: str
    links: tuple[Link, ...]


def notice(message: Message, settings: Settings) -> Notice:
    """Render a message."""
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
        failures_text = "" if message.event is Event.RESOLVED else f", {failures:,} failures"
        return f"{state}: {len(message.alerts)} causes{failures_text}"
    times = f" (×{first.new_count:,})" if message.event is not Event.RESOLVED and first.new_count > 1 else ""
    return f"{state}: {first.title}{times}"


def _entry(alert: Alert, event: Event, settings: Settings) -> Entry:
    parts = [part for part in (alert.error_class, alert.error_message) if part]
    # An error class that equals the kind adds nothing.
    shown = parts[1:] if parts[:1] == [alert.kind] and len(parts) > 1 else parts
    facts = facts_of(alert)
    return Entry(
        alert,
        alert.title,
        _summary(alert, event),
        ": ".join(shown) or None,
        hint=_hint(facts, settings),
        command=command(facts),
        links=_links(facts, event, settings),
    )


def facts_of(alert: Alert) -> AlertFacts:
    """Return what an alert is about."""
    return AlertFacts(alert.kind, alert.subject, alert.fingerprint, alert.refs)


def _hint(facts: AlertFacts, settings: Settings) -> str | None:
    job_id = facts.ref("job_id")
    job = f"Job {job_id}" if job_id else ""
    shown = command(facts)
    if settings.metrics_base or not shown:
        return cut(job, _HINT) or None
    trace = ", which lists its trace" if (facts.ref("evidence") or "").endswith("trace.zip") else ""
    return cut(f"{job}: `{shown}`{trace}" if job else f"`{shown}`", _HINT)


def _summary(alert: Alert, event: Event) -> str:
    since = when(alert.first_seen_at)
    if event is Event.RESOLVED:
        ended = f" until {when(alert.resolved_at)}" if alert.resolved_at else ""
        return f"Occurred {_times(alert.count)} from {since}{ended}. {alert.resolution or ''}".strip()
    if event is Event.REPEAT and alert.announced_at:
        announced = when(alert.announced_at)
        return f"Occurred {_times(alert.new_count)} since {announced}, {alert.count:,} in total since {since}."
    if alert.count == 1:
        return f"Occurred once, at {since}."
    return f"Occurred {_times(alert.count)} since {since}, last at {when(alert.last_seen_at)}."


def _facts(message: Message) -> tuple[tuple[str, str], ...]:
    if len(message.alerts) > 1:
        return ()
    alert = message.alerts[0]
    return (("Subject", alert.subject), ("Since", when(alert.first_seen_at)), ("Count", f"{alert.count:,}"))


def _links(facts: AlertFacts, event: Event, settings: Settings) -> tuple[Link, ...]:
    silence = Reference("Silence", f"/dashboard/alerts/silence?fingerprint={facts.fingerprint}")
    pages = (*references(facts), *(() if event is Event.RESOLVED else (silence,)))
    addresses = [
        (page.title, dagster_page(settings, page.path) if page.in_dagster else dashboard_page(settings, page.path))
        for page in pages
    ]
    return (*(Link(title, url) for title, url in addresses if url), *_own_links(settings))


def _own_links(settings: Settings) -> tuple[Link, ...]:
    url = alerts_page(settings)
    return (Link("Alerts", url),) if url else ()


def _announcement(alert: Alert, settings: Settings) -> Notice:
    body = alert.body
    image = body.get("image_artifact_id")
    chart = artifact_content(settings, image) if image else None
    links = tuple(Link(link["title"], link["url"]) for link in body.get("links", ()))
    return Notice(
        Event.ANNOUNCEMENT,
        alert.title,
        (),
        tuple((fact["name"], fact["value"]) for fact in body.get("facts", ())),
        body.get("markdown", ""),
        (*links, *((Link("Chart", chart),) if chart else ())),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def when(time: Time) -> str:
    """Format a time in UTC."""
    if isinstance(time, Unreadable):
        return "an unreadable time"
    return f"{time:%Y-%m-%d %H:%M} UTC"


def cut(text: str, limit: int) -> str:
    """Truncate a text to a number of characters, ending with an ellipsis."""
    return text if len(text) <= limit else f"{text[: max(limit - 1, 0)]}…"


def utf16_units(text: str) -> int:
    """Return the length of a text in UTF-16 code units, in which Slack counts; an emoji has two."""
    return len(text) + sum(char > "\uffff" for char in text)


def further_links(content: Notice, shown: str) -> tuple[Link, ...]:
    """Return the links of a message that its text does not contain."""
    # The URL of one link may be the beginning of another.
    return tuple(link for link in content.links if not re.search(re.escape(link.url) + r"(?![\w/?#=&%.-])", shown))


def cut_to(text: str, limit: int, measure: Callable[[str], int]) -> str:
    """Truncate a text so that its encoded form fits a limit.

    Args:
        text: Text before encoding.
        limit: Maximum of `measure`.
        measure: Returns the size of a text after escaping and encoding.
    """
    length = min(len(text), max(limit, 1))
    while measure(shown := cut(text, length)) > limit and length > 1:
        length = length * 3 // 4
    return shown


def fitting(pieces: Sequence[str], limit: int, measure: Callable[[str], int] = len) -> list[str]:
    """Return the first pieces that fit a limit, each counted with one line break."""
    kept: list[str] = []
    for piece in pieces:
        limit -= measure(piece) + 1
        if limit < 0:
            break
        kept.append(piece)
    return kept
