"""ISO weeks, which begin on Monday, in UTC: a clock change moves nothing."""

import re
from datetime import UTC, date, datetime, timedelta

from cogo_dagster.queue.errors import InvalidArgument


def week_of(time: datetime) -> str:
    """Return the ISO week a time is in: `2026-W47`."""
    year, week, _ = time.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def start_of(week: str) -> datetime:
    """Return the Monday 00:00 UTC a week begins at.

    Raises:
        InvalidArgument: There is no such week.
    """
    try:
        # fromisoformat takes other spellings too, and what does not match leaves it nothing to read.
        monday = date.fromisoformat(week if re.fullmatch(r"\d{4}-W\d{2}", week) else "")
    except ValueError:
        raise InvalidArgument(f"{week!r} is no ISO week: write it as 2026-W47.") from None
    return datetime(monday.year, monday.month, monday.day, tzinfo=UTC)


def day_start(day: str) -> datetime:
    """Return midnight UTC of a day written as `2026-11-24`.

    Raises:
        InvalidArgument: There is no such day.
    """
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise InvalidArgument(f"{day!r} is no day: write it as 2026-11-24.") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def is_news(week_start: datetime, now: datetime) -> bool:
    """Whether people still want to be told of a week: it ended at most two weeks ago."""
    return now - (week_start + timedelta(days=7)) <= timedelta(days=14)
