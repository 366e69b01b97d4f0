"""ISO weeks and days of the gate, in UTC."""

from datetime import UTC, date, datetime, timedelta

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.weeks import finished_week, start_of, week_of

__all__ = ["day_start", "finished_week", "is_news", "start_of", "week_of"]


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
