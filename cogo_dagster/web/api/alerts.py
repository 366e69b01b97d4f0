"""Alerts, their targets, and the weekly summary."""

from typing import Literal

from fastapi import APIRouter, Depends

from cogo_dagster.web.actions import notify
from cogo_dagster.web.api.schemas import AlertPage, AlertTargets, Notified, Week
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api", tags=["alerts"], responses=problems(401, 403, 422, 429))


@router.get("/alerts", dependencies=[Depends(require_reader)], responses=problems(404))
def list_alerts(
    application: ApplicationDep,
    *,
    status: Literal["firing", "resolved", "announced"] | None = None,
    before: Before = None,
    limit: PageSize = 50,
) -> AlertPage:
    """Alerts, last seen first, with their deliveries."""
    rows = application.alerts.list_alerts(
        status=status, before=read_cursor(before, "last_seen_at", "id"), max_alerts=limit
    )
    return AlertPage(alerts=rows, next=next_cursor(rows, limit, "last_seen_at", "id"))


@router.get("/alerts/targets", dependencies=[Depends(require_reader)])
def targets(application: ApplicationDep) -> AlertTargets:
    """Health of each alert target, and its pending deliveries."""
    return application.alerts.target_health()


@router.post("/notify/weekly", responses=problems(404))
def notify_weekly(
    application: ApplicationDep,
    actor: Actor,
    *,
    week: Week = None,
) -> Notified:
    """Announce the summary of a week to all targets. Repeated calls announce it once."""
    return Notified.model_validate(notify(application, week, actor), from_attributes=True)
