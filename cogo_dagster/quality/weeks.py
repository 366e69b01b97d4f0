"""ISO weeks and days in UTC."""

from datetime import UTC, date, datetime, timedelta

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.weeks import finished_week, start_of, week_of

__all__ = ["day_start", "finished_week", "is_recent", "start_of", "week_of"]


def day_start(day: str) -> datetime:
    """Return midnight UTC of a date such as `2026-11-24`.

    Raises:
        InvalidArgument: It is not a valid date.
    """
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise InvalidArgument(f"{day!r} is not a date: write it as 2026-11-24.") from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def shifted(week: str, weeks: int) -> str:
    """Return the week that is a number of weeks later."""
    return week_of(start_of(week) + timedelta(days=7 * weeks))


def is_recent(week_start: datetime, now: datetime) -> bool:
    """Return whether a week is recent enough to be announced: it ended at most two weeks ago."""
    return now - (week_start + timedelta(days=7)) <= timedelta(days=14)
