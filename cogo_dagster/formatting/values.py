"""Numbers and times as words, and back: the same ones in the terminal and on pages."""

import re
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import StoredError
from cogo_dagster.text import printable

NOTHING: Final = "-"
"""What a cell shows where there is no value."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LONGEST: Final = 315_360_000
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def parse_duration(given: str) -> float | None:
    """Return the seconds of `90`, `90s`, `30m`, `2h`, `1d`, `1w`; None if it is no duration of at most ten years."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw]?)", given.strip())
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else None
    return None if seconds is None or seconds > _LONGEST else seconds


def span(seconds: object) -> str:
    """Say how long: `4 min`, `2 h`; one unit is enough to look at, and under a second is `now`."""
    if not isinstance(seconds, int | float) or not -1e15 < seconds < 1e15:
        return Unreadable("unreadable")
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (0, ""))
    return f"{int(abs(seconds) // size)} {unit}" if size else "now"


def distance(time: object, now: datetime | None = None) -> str:
    """Say how far a time is from now: `in 4 min`, `2 h ago`; of one that cannot be read, that it cannot."""
    if time is None:
        return NOTHING
    moment = time if isinstance(time, datetime | Unreadable) else read_time(time)
    if isinstance(moment, Unreadable):
        return moment
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    words = span(seconds)
    if words == "now":
        return words
    return f"in {words}" if seconds > 0 else f"{words} ago"


def until(time: object) -> str:
    """Say when something runs next: `in 4 min`, or that its time has come."""
    words = distance(time)
    return words if words.startswith("in ") or isinstance(words, Unreadable) else "due now"


def run_time(seconds: object) -> str:
    """Say a run time: `12 ms`, `3.4 s`, `2 min 5 s`; of what is no number of seconds, that it cannot be read."""
    if seconds is None:
        return NOTHING
    if isinstance(seconds, Unreadable):
        return seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not -1e12 < seconds < 1e12:
        return Unreadable(f"unreadable: {str(seconds)[:40]!r} is no number of seconds")
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(size_bytes: int | None) -> str:
    """Say a file's size: `24.6 kB`."""
    # humanize is slow to import, and few commands show a size.
    import humanize  # noqa: PLC0415

    return NOTHING if size_bytes is None else humanize.naturalsize(size_bytes)


def error_line(error: Json) -> str:
    """Say an error in one line: its class, then its message."""
    if isinstance(error, StoredError):
        return one_line(f"{error.error_class or 'unknown'}: {error.message or 'no message'}")
    if not isinstance(error, dict):  # a row of an older system may hold anything
        return one_line(str(error)) if error else NOTHING
    return one_line(f"{error.get('class') or 'unknown'}: {error.get('message') or 'no message'}")


def one_line(text: object, most_chars: int = 2_000) -> str:
    """Return text that is safe to print: one line, with the characters that steer a terminal escaped."""
    given = str(text)
    if len(given) <= most_chars and given.isprintable() and given.isascii() and "  " not in given:
        return given.strip()
    kept = given if len(given) <= most_chars else f"{given[: most_chars - 1]}…"
    return " ".join(printable(" ".join(kept.split())).split())
