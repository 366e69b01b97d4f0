"""Numbers and times as words, and back."""

import re
from datetime import UTC, datetime
from typing import Final

import typer

from cogo_dagster.queue.model import Json

NOTHING: Final = "-"
"""What a cell shows where there is no value."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LONGEST: Final = 315_360_000
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class BadInput(typer.TyperException):
    """An option's value cannot be used; the message is one sentence that says what to correct."""

    exit_code = 2


def seconds_of(given: str | float) -> float:
    """Read a duration: `90`, `90s`, `30m`, `2h`, `1d`, `1w`.

    Raises:
        BadParameter: It is not one, or longer than ten years.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw]?)", str(given).strip())
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else None
    if seconds is None or seconds > _LONGEST:
        raise typer.BadParameter(
            f"{given!r} is not a duration of at most ten years: write it as 90s, 30m, 2h, 1d or 1w"
        )
    return seconds


def distance(time: str | None, now: datetime | None = None) -> str:
    """Say how far a time is from now: `in 4 min`, `2 h ago`; one unit is enough to look at."""
    if time is None:
        return NOTHING
    seconds = (datetime.fromisoformat(time) - (now or datetime.now(UTC))).total_seconds()
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (0, ""))
    if not size:
        return "now"
    count = f"{int(abs(seconds) // size)} {unit}"
    return f"in {count}" if seconds > 0 else f"{count} ago"


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
    return one_line(f"{error['class']}: {error['message']}") if error else NOTHING


def one_line(text: str) -> str:
    """Return text that is safe to print: one line, without characters that steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
