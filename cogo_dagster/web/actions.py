"""Actions that the API and the dashboard share."""

from dataclasses import dataclass
from typing import Final

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.gates import PublishedWeek
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied

MOST_AT_ONCE: Final = 10_000
"""Rows one request may change: it answers within seconds. Ask again for more."""


@dataclass(frozen=True, slots=True)
class NotifiedWeek:
    """What became of a weekly notice; `created` is False where the week was announced before."""

    week: str
    targets: list[str]
    created: bool


def notify(application: Application, week: str | None, actor: str) -> NotifiedWeek:
    """Announce a week.

    Raises:
        RequestDenied: There is no such week, or it is not over.
    """
    try:
        told = application.gates.weekly(week)
        answer = application.weeks.announce(PublishedWeek(told))
    except InvalidArgument as error:
        raise RequestDenied(404, str(error)) from None
    application.queue.note("notify_weekly", actor, week=told.week, created=answer.created)
    return NotifiedWeek(told.week, answer.targets, answer.created)
