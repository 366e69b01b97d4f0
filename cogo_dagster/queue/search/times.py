"""Times of the filter language: `2h`, `today`, `yesterday`, dates, times and ranges; UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MAX_SECONDS: Final = 315_360_000
_DAYS: Final = {"today": 0, "yesterday": 1}
_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?", re.IGNORECASE)

Bound = str | float | None
"""A time in ISO 8601, a number of seconds before now, or None without a bound."""


@dataclass(frozen=True, slots=True)
class Period:
    """A range of times; `end` is excluded."""

    start: Bound = None
    end: Bound = None


class EmptyPeriod(ValueError):
    """A range that no time is in: it ends before it begins."""


def parse_duration(text: str) -> float | None:
    """Return the seconds of `90`, `90s`, `30m`, `2h`, `1d` or `1w`; None if invalid or longer than ten years."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw]?)", text.strip(), re.ASCII)
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else None
    return None if seconds is None or seconds > _MAX_SECONDS else seconds


def duration_text(seconds: float) -> str:
    """Return a duration as `parse_duration` reads it."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def parse_period(text: str, now: datetime) -> Period | None:
    """Return the period of `2h` (the last two hours), `today`, a date, a time, or `FROM..TO`; None if invalid.

    Both ends of a range are included: `2026-11-20..2026-11-26` ends with the 26th. One of them may be left out.

    Raises:
        EmptyPeriod: It ends before it begins.
    """
    first, dots, last = text.strip().partition("..")
    if not dots:
        moment = _moment(first, now)
        if moment and moment.start == 0.0:
            raise EmptyPeriod
        return moment
    start, end = (_moment(part, now) if part else Period() for part in (first, last))
    if start is None or end is None or not (first or last):
        return None
    # A duration ends at the moment that lies this long in the past.
    period = Period(start.start, end.start if isinstance(end.start, float) else end.end)
    if not is_in_order(period.start, period.end, now):
        raise EmptyPeriod
    return period


def before(period: Period) -> Bound:
    """Return the bound for what happened until a period: its end, or the moment that lies this long in the past."""
    return period.start if isinstance(period.start, float) and period.end is None else period.end


def is_in_order(start: Bound, end: Bound, now: datetime) -> bool:
    """Whether a time lies between two bounds."""
    return start is None or end is None or _instant(start, now) < _instant(end, now)


def _instant(bound: str | float, now: datetime) -> datetime:
    return datetime.fromisoformat(bound) if isinstance(bound, str) else now - timedelta(seconds=bound)


def _moment(text: str, now: datetime) -> Period | None:
    seconds = parse_duration(text)
    if seconds is not None:
        return Period(seconds)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if text.lower() in _DAYS:
        return _from(midnight - timedelta(days=_DAYS[text.lower()]), timedelta(days=1))
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    date, time, second, zone = match.groups()
    try:
        start = datetime.fromisoformat(f"{date}T{time or '00:00'}{second or ''}{zone or 'Z'}".upper())
        length = timedelta(seconds=1) if second else timedelta(minutes=1) if time else timedelta(days=1)
        return _from(start, length)
    except (ValueError, OverflowError):
        return None


def _from(start: datetime, length: timedelta) -> Period:
    return Period(start.astimezone(UTC).isoformat(), (start + length).astimezone(UTC).isoformat())
