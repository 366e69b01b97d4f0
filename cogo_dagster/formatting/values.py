"""Formatting and parsing of numbers and times, shared by the command line and the dashboard."""

from datetime import UTC, datetime
from typing import Final

from cogo_dagster.queue.decoding import Unreadable, read_time
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import StoredError
from cogo_dagster.text import printable

NOTHING: Final = "-"
"""Text of a cell without a value."""

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: object, *, nearest: bool = False) -> str:
    """Return a duration in one unit, such as `4 min` or `2 h`; `now` if under a second.

    Args:
        nearest: Round to the nearest number, as for a time in the future, instead of down.
    """
    if not isinstance(seconds, int | float) or not -1e15 < seconds < 1e15:
        return Unreadable("unreadable")
    if nearest:
        seconds = next((round(abs(seconds) / size) * size for size, _ in _UNITS if abs(seconds) >= size), seconds)
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (0, ""))
    return f"{int(abs(seconds) // size)} {unit}" if size else "now"


def distance(time: object, now: datetime | None = None) -> str:
    """Return a time relative to now, such as `in 4 min` or `2 h ago`, or the reason why it is unreadable."""
    if time is None:
        return NOTHING
    moment = time if isinstance(time, datetime | Unreadable) else read_time(time)
    if isinstance(moment, Unreadable):
        return moment
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    duration = span(seconds, nearest=seconds > 0)
    if duration == "now":
        return duration
    return f"in {duration}" if seconds > 0 else f"{duration} ago"


def until(time: object) -> str:
    """Return when a job is due, such as `in 4 min` or `due now`."""
    relative = distance(time)
    return relative if relative.startswith("in ") or isinstance(relative, Unreadable) else "due now"


def run_time(seconds: object) -> str:
    """Return a run time, such as `12 ms`, `3.4 s` or `2 min 5 s`, or the reason why it is unreadable."""
    if seconds is None:
        return NOTHING
    if isinstance(seconds, Unreadable):
        return seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not -1e12 < seconds < 1e12:
        return Unreadable(f"unreadable: {str(seconds)[:40]!r} is not a number of seconds")
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def at_least(number: int, *, more: bool) -> str:
    """Return a number, as `10,000+` if it is the least that there are."""
    return f"{number:,}{'+' if more else ''}"


def counted(number: int, noun: str) -> str:
    """Return a number and a noun that agrees with it, such as `1 job` or `2,000 jobs`."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def size(size_bytes: int | None) -> str:
    """Return the size of a file, such as `24.6 kB`."""
    # Slow to import, and used by few commands.
    import humanize  # noqa: PLC0415

    if size_bytes is None:
        return NOTHING
    return f"{size_bytes} B" if size_bytes < 1000 else humanize.naturalsize(size_bytes)


def error_line(error: Json) -> str:
    """Return an error as one line: its class and its message."""
    if isinstance(error, StoredError):
        return one_line(f"{error.error_class or 'unknown'}: {error.message or 'no message'}")
    if not isinstance(error, dict):  # rows of older systems may have any value
        return one_line(str(error)) if error else NOTHING
    return one_line(f"{error.get('class') or 'unknown'}: {error.get('message') or 'no message'}")


def one_line(text: object, max_chars: int = 2_000) -> str:
    """Return text as one line that is safe to print, truncated, with control characters escaped."""
    full = str(text)
    if len(full) <= max_chars and full.isprintable() and full.isascii() and "  " not in full:
        return full.strip()
    shown = full if len(full) <= max_chars else f"{full[: max_chars - 1]}…"
    return " ".join(printable(" ".join(shown.split())).split())
