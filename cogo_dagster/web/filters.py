"""Template filters. They return text, which the template escapes, or `Markup`."""

import json
import re
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from cogo_dagster.formatting.values import NOTHING, distance, run_time
from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.queue.model import Json

UNKNOWN: Final = "\u2013"

_JOB_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_RUN_ACTOR: Final = re.compile(r"Dagster run ([0-9a-f]{8}-[0-9a-f-]{27})")


def ago(time: str | datetime | None) -> Markup | str:
    """Return a time relative to now, with the absolute time as a tooltip."""
    if time is None:
        return UNKNOWN
    moment = time if isinstance(time, datetime) else read_time(time)
    if isinstance(moment, Unreadable):
        return unreadable(moment)
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), distance(moment)
    )


def moment(time: datetime | Unreadable | None) -> Markup | str:
    """Return a time with its date in UTC; a script adds the local time."""
    if time is None:
        return UNKNOWN
    if isinstance(time, Unreadable):
        return unreadable(time)
    at = time.astimezone(UTC)
    return Markup('<time datetime="{}" data-local>{} UTC</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def clock(time: datetime | Unreadable) -> Markup:
    """Return a time of day, with the date as a tooltip."""
    if isinstance(time, Unreadable):
        return unreadable(time)
    moment = time.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}" data-local>{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), moment.strftime("%H:%M:%S")
    )


def day(time: datetime | Unreadable) -> str:
    """Return the date of a time in UTC; empty if it is unreadable."""
    return "" if isinstance(time, Unreadable) else f"{time.astimezone(UTC):%Y-%m-%d}"


def unreadable(reason: str) -> Markup:
    """Return `unreadable` with the reason as a tooltip."""
    return Markup('<span class="muted" title="{}">unreadable</span>').format(reason)


def in_seconds(value: object) -> Markup | str:
    """Format a run time: `12 ms`, `3.4 s`, `2 min 5 s`."""
    text = dash(run_time(value))
    return unreadable(text) if isinstance(text, Unreadable) else text


def dash(text: str) -> str:
    """Return a text, or the sign of pages for an unknown value."""
    return UNKNOWN if text == NOTHING else text


def with_code(message: str) -> Markup:
    """Return a message with text between backticks as `<code>`."""
    parts = message.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def with_job_links(message: Markup) -> Markup:
    """Return a message with the IDs of jobs as links to their pages."""
    return Markup(_JOB_ID.sub(r'<a href="/dashboard/jobs/\g<0>"><code>\g<0></code></a>', str(message)))  # noqa: S704 - of hexadecimal digits


def number(value: object, more: bool = False) -> str:
    """Format a number with thin spaces between thousands; return any other value as text.

    Args:
        more: Whether the number is the least that there are: `10 000+`.
    """
    if not isinstance(value, int | float) or not -1e30 < value < 1e30:
        return cut(value, 60)
    return f"{value:,}".replace(",", "\u2009") + ("+" if more else "")


def counted(value: int, noun: str) -> str:
    """Format a number and a noun that agrees with it: `1 slot`, `2 slots`."""
    return f"{number(value)} {noun if value == 1 else f'{noun}s'}"


def compact(value: int) -> str:
    """Format a count in few characters: 9,870 in full, 12k, 1.3M."""
    if value < 10_000:
        return number(value)
    return f"{value / 1000:.0f}k" if value < 999_500 else f"{value / 1_000_000:.1f}M"


def in_json(document: Json) -> str:
    """Return a document as one line of JSON, truncated."""
    return cut(_json(document), 1_000)


def plain_json(document: Json) -> str:
    """Return a whole document as one line of JSON."""
    return _json(document)


def pretty(document: Json) -> str:
    """Return a document as indented JSON."""
    return _json(document, indent=2)


def _json(document: Json, indent: int | None = None) -> str:
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        return f"unreadable: {type(error).__name__}"


def cut(value: object, max_chars: int) -> str:
    """Return a value as text, truncated."""
    try:
        text = str(value)
    except ValueError:
        return "unreadable: a number of more than 4,300 digits"
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def plain(value: Json) -> str:
    """Return a value as short text: a string unchanged, any other value as JSON."""
    return cut(value if isinstance(value, str) else in_json(value), 300)


def short(id: object) -> str:
    """Return the last 8 characters of an ID; UUIDv7s of the same time share a prefix."""
    return str(id)[-8:]


def actor_run(actor: str) -> str | None:
    """Return the ID of the Dagster run that performed an operation, or None if a person or command did."""
    found = _RUN_ACTOR.fullmatch(actor)
    return found and found[1]


def items(document: Json) -> list[tuple[str, Json]]:
    """Return the members of an object; for any other document, one member named `unreadable`."""
    if isinstance(document, dict):
        return list(document.items())
    return [("unreadable", document)]
