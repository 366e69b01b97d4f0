"""Actions shared by the API and the dashboard."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.gates import PublishedWeek
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied

MAX_ROWS: Final = 10_000
"""Maximum number of rows that a request changes, so that it ends within seconds."""


@dataclass(frozen=True, slots=True)
class NotifiedWeek:
    """Result of announcing a week; `created` is False if the week had already been announced."""

    week: str
    targets: list[str]
    created: bool


def seconds_until(time: datetime) -> float:
    """Return the seconds until a time; one without a time zone is in UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def notify(application: Application, week: str | None, actor: str) -> NotifiedWeek:
    """Announce a weekly summary.

    Raises:
        RequestDenied: 404 if the week does not exist or is not over.
    """
    try:
        summary = application.gates.weekly(week)
        announced = application.weeks.announce(PublishedWeek(summary))
    except InvalidArgument as error:
        raise RequestDenied(404, str(error)) from None
    application.queue.note("notify_weekly", actor, week=summary.week, created=announced.created)
    return NotifiedWeek(summary.week, announced.targets, announced.created)
