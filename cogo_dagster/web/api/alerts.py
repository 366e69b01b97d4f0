"""Alerts, their targets, and the weekly notice."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.gates import PublishedWeek
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.api.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.api.schemas import Alerts, AlertTargets, Notified
from cogo_dagster.web.dependencies import Actor, AppPart, require_reader
from cogo_dagster.web.error_handlers import problems

router = APIRouter(prefix="/api", tags=["alerts"])


@router.get("/alerts", dependencies=[Depends(require_reader)], responses=problems(401, 403, 404, 422, 429))
def list_alerts(
    application: AppPart,
    *,
    status: Literal["firing", "resolved", "announced"] | None = None,
    before: Before = None,
    limit: PageSize = 50,
) -> Alerts:
    """Alerts, those seen last first, with what each target was told."""
    rows = application.alerts.list_alerts(
        status=status, before=read_cursor(before, "last_seen_at", "id"), max_alerts=limit
    )
    return Alerts(alerts=rows, next=next_cursor(rows, limit, "last_seen_at", "id"))


@router.get("/alerts/targets", dependencies=[Depends(require_reader)], responses=problems(401, 403, 422, 429))
def targets(application: AppPart) -> AlertTargets:
    """How each target does: whether it can be reached, and what waits for it."""
    return application.alerts.target_health()


@router.post("/notify/weekly", responses=problems(401, 403, 404, 422, 429))
def notify_weekly(
    application: AppPart,
    actor: Actor,
    *,
    week: Annotated[
        str | None,
        Query(pattern="^[0-9]{4}-W[0-9]{2}$", description="As 2026-W47; the last that is over if left out."),
    ] = None,
) -> Notified:
    """Tell every target the week's summary, once a week however often it is asked."""
    return notify(application, week, actor)


def notify(application: Application, week: str | None, actor: str) -> Notified:
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
    return Notified(week=told.week, targets=answer.targets, created=answer.created)
