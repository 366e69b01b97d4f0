"""Numbers and times as words, and back: the same ones in the terminal and on pages."""

import re
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.queue.model import Json

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


def span(seconds: float) -> str:
    """Say how long: `4 min`, `2 h`; one unit is enough to look at, and under a second is `now`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (0, ""))
    return f"{int(abs(seconds) // size)} {unit}" if size else "now"


def distance(time: str | datetime | None, now: datetime | None = None) -> str:
    """Say how far a time is from now: `in 4 min`, `2 h ago`."""
    if time is None:
        return NOTHING
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    words = span(seconds)
    if words == "now":
        return words
    return f"in {words}" if seconds > 0 else f"{words} ago"


def until(time: str) -> str:
    """Say when something runs next: `in 4 min`, or that its time has come."""
    words = distance(time)
    return words if words.startswith("in ") else "due now"


def size(size_bytes: int | None) -> str:
    """Say a file's size: `24.6 kB`."""
    # humanize is slow to import, and few commands show a size.
    import humanize  # noqa: PLC0415

    return NOTHING if size_bytes is None else humanize.naturalsize(size_bytes)


def error_line(error: Json) -> str:
    """Say an error in one line: its class, then its message."""
    if not isinstance(error, dict):  # a row of an older system may hold anything
        return one_line(str(error)) if error else NOTHING
    return one_line(f"{error.get('class') or 'unknown'}: {error.get('message') or 'no message'}")


def one_line(text: object) -> str:
    """Return text that is safe to print: one line, without characters that steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
