"""Values as templates show them: everything that is no markup is escaped by the template."""

import json
from datetime import UTC, datetime

from markupsafe import Markup

from cogo_dagster.formatting.values import distance, run_time
from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.queue.model import Json


def ago(time: str | datetime | None) -> Markup | str:
    """Return a time as its distance from now, with the time itself for whoever asks."""
    if time is None:
        return "-"
    moment = time if isinstance(time, datetime) else read_time(time)
    if isinstance(moment, Unreadable):
        return unreadable(moment)
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), distance(moment)
    )


def clock(time: datetime | Unreadable) -> Markup:
    """Return a time of day, with the date for whoever asks."""
    if isinstance(time, Unreadable):
        return unreadable(time)
    moment = time.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%Y-%m-%d %H:%M:%S UTC"), moment.strftime("%H:%M:%S")
    )


def unreadable(reason: str) -> Markup:
    """Say that a value cannot be read, with the reason for whoever asks."""
    return Markup('<span class="muted" title="{}">unreadable</span>').format(reason)


def in_seconds(value: object) -> Markup | str:
    """Say a run time: `12 ms`, `3.4 s`, `2 min 5 s`."""
    words = run_time(value)
    return unreadable(words) if isinstance(words, Unreadable) else words


def with_code(sentence: str) -> Markup:
    """Return a sentence with what stands between backticks as code."""
    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def number(value: object) -> str:
    """Write a number with thin gaps between thousands; what is none, as it is."""
    if not isinstance(value, int | float) or not -1e30 < value < 1e30:
        return cut(value, 60)
    return f"{value:,}".replace(",", "\u2009")


def compact(value: int) -> str:
    """Write a count in few letters: 9,870 as it is, 12k, 1.3M."""
    if value < 10_000:
        return number(value)
    return f"{value / 1000:.0f}k" if value < 999_500 else f"{value / 1_000_000:.1f}M"


def in_json(document: Json) -> str:
    """Write a document in one line, or its beginning."""
    return cut(_json(document), 1_000)


def pretty(document: Json) -> str:
    """Write a document to be read."""
    return _json(document, indent=2)


def _json(document: Json, indent: int | None = None) -> str:
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        return f"unreadable: {type(error).__name__}"


def cut(value: object, most_chars: int) -> str:
    """Return a value as text, or the beginning of it."""
    try:
        text = str(value)
    except ValueError:
        return "unreadable: a number of more than 4,300 digits"
    return text if len(text) <= most_chars else f"{text[: most_chars - 1]}…"


def plain(value: Json) -> str:
    """Write a value in few letters: a text as it is, anything else as JSON."""
    return cut(value if isinstance(value, str) else in_json(value), 300)


def short(id: object) -> str:
    """Return the end of an id, which tells neighbours apart: ids made together begin alike."""
    return str(id)[-8:]


def items(document: Json) -> list[tuple[str, Json]]:
    """Return an object's members; of what is no object, one that says so."""
    if isinstance(document, dict):
        return list(document.items())
    return [("unreadable", document)]
