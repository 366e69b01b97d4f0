"""ISO weeks as everybody writes them: `2026-W47`. They begin on Monday, in UTC: a clock change moves nothing."""

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
        monday = date.fromisoformat(week if re.fullmatch("[0-9]{4}-W[0-9]{2}", week) else "")
    except ValueError:
        raise InvalidArgument(f"{week!r} is no ISO week: write it as 2026-W47.") from None
    return datetime(monday.year, monday.month, monday.day, tzinfo=UTC)


def finished_week(week: str, now: datetime) -> str:
    """Return a week that can be sent.

    Raises:
        InvalidArgument: There is no such week, or it is not over at `now`.
    """
    try:
        end = start_of(week) + timedelta(days=7)
    except OverflowError:
        raise InvalidArgument(f"{week!r} is no ISO week: write it as 2026-W47.") from None
    if end > now:
        shown = "`cogo weekly show` shows it so far"
        raise InvalidArgument(
            f"The week {week} is not over, so it is not sent: it ends on {end:%Y-%m-%d} UTC; {shown}."
        )
    return week
