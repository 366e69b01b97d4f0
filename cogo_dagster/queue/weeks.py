"""ISO weeks such as `2026-W47`. They begin on Monday in UTC, so that a clock change does not shift them."""

import re
from datetime import UTC, date, datetime, timedelta

from cogo_dagster.queue.errors import InvalidArgument


def week_of(time: datetime) -> str:
    """Return the ISO week of a time, such as `2026-W47`."""
    year, week, _ = time.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def start_of(week: str) -> datetime:
    """Return the Monday 00:00 UTC at which a week begins.

    Raises:
        InvalidArgument: There is no such week.
    """
    try:
        # fromisoformat accepts other formats too; a string that does not match is passed as empty.
        monday = date.fromisoformat(week if re.fullmatch("[0-9]{4}-W[0-9]{2}", week) else "")
    except ValueError:
        raise InvalidArgument(f"{week!r} is not an ISO week: write it as 2026-W47.") from None
    return datetime(monday.year, monday.month, monday.day, tzinfo=UTC)


def finished_week(week: str, now: datetime) -> str:
    """Return a week that has ended and can be published.

    Raises:
        InvalidArgument: There is no such week, or it has not ended at `now`.
    """
    try:
        end = start_of(week) + timedelta(days=7)
    except OverflowError:
        raise InvalidArgument(f"{week!r} is not an ISO week: write it as 2026-W47.") from None
    if end > now:
        shown = "`cogo weekly show` shows the numbers so far"
        raise InvalidArgument(
            f"The week {week} is not over and cannot be sent: it ends on {end:%Y-%m-%d} UTC; {shown}."
        )
    return week
