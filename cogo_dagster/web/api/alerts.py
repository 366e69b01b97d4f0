"""Alerts, their targets, and the weekly notice."""

from typing import Literal

from fastapi import APIRouter, Depends

from cogo_dagster.web.actions import notify
from cogo_dagster.web.api.schemas import AlertPage, AlertTargets, Notified, Week
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, AppPart, require_reader
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api", tags=["alerts"], responses=problems(401, 403, 422, 429))


@router.get("/alerts", dependencies=[Depends(require_reader)], responses=problems(404))
def list_alerts(
    application: AppPart,
    *,
    status: Literal["firing", "resolved", "announced"] | None = None,
    before: Before = None,
    limit: PageSize = 50,
) -> AlertPage:
    """Alerts, those seen last first, with what each target was told."""
    rows = application.alerts.list_alerts(
        status=status, before=read_cursor(before, "last_seen_at", "id"), max_alerts=limit
    )
    return AlertPage(alerts=rows, next=next_cursor(rows, limit, "last_seen_at", "id"))


@router.get("/alerts/targets", dependencies=[Depends(require_reader)])
def targets(application: AppPart) -> AlertTargets:
    """How each target does: whether it can be reached, and what waits for it."""
    return application.alerts.target_health()


@router.post("/notify/weekly", responses=problems(404))
def notify_weekly(
    application: AppPart,
    actor: Actor,
    *,
    week: Week = None,
) -> Notified:
    """Tell every target the week's summary, once a week however often it is asked."""
    return Notified.model_validate(notify(application, week, actor), from_attributes=True)
