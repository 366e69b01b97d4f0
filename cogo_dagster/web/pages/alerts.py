"""Page of the alerts, their deliveries and targets."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.web.actions import notify
from cogo_dagster.web.cursors import next_cursor, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, require_reader, web_of
from cogo_dagster.web.pages.forms import Operator, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False)

PAGE: Final = 50


@router.get("/alerts", dependencies=[Depends(require_reader)])
def alerts(
    request: Request, application: ApplicationDep, before: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Alerts, their deliveries, and the health of the targets."""
    rows = application.alerts.list_alerts(before=read_cursor(before, "last_seen_at", "id"), max_alerts=PAGE)
    cursor = next_cursor(rows, PAGE, "last_seen_at", "id")
    return web_of(request).pages.page(
        request,
        "alerts.html",
        title="Alerts",
        alerts=rows,
        health=application.alerts.target_health(),
        silences=application.alerts.list_silences(),
        following=f"?before={cursor}" if cursor else None,
    )


@router.post("/notify/weekly", dependencies=[Depends(form_of)])
def notify_weekly(application: ApplicationDep, actor: Operator) -> Response:
    """Announce the summary of the last full week to all targets."""
    week = notify(application, None, actor)
    outcome = "notified" if week.created else "notified_before" if week.targets else "not_notified"
    return back("/dashboard/alerts", outcome, len(week.targets))
