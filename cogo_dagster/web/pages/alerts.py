"""Page of the alerts, their deliveries and targets."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.actions import notify, seconds_until
from cogo_dagster.web.cursors import next_cursor, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, note_numbers, require_reader, web_of
from cogo_dagster.web.pages.forms import Form, FormDep, Operator, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False)

PAGE: Final = 50

_MAX_FIRING: Final = 1_000


@router.get("/alerts", dependencies=[Depends(require_reader), Depends(note_numbers)])
def alerts(
    request: Request, application: ApplicationDep, before: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Firing alerts, then the others, their deliveries, and the health of the targets."""
    rows = application.alerts.list_alerts(before=read_cursor(before, "last_seen_at", "id"), max_alerts=PAGE)
    firing = application.alerts.list_alerts(status="firing", max_alerts=_MAX_FIRING) if before is None else []
    cursor = next_cursor(rows, PAGE, "last_seen_at", "id")
    return web_of(request).pages.page(
        request,
        "alerts.html",
        title="Alerts",
        firing=firing,
        alerts=[row for row in rows if row.status != "firing"],
        health=application.alerts.target_health(),
        silences=application.alerts.list_silences(),
        titles={row.fingerprint: row.title for row in (*rows, *firing)},
        following=f"?before={cursor}" if cursor else None,
    )


@router.get("/alerts/silence", dependencies=[Depends(require_reader)])
def silence_form(
    request: Request, application: ApplicationDep, fingerprint: Annotated[str, Query(max_length=64)]
) -> Response:
    """Form to silence the alerts of a cause."""
    rows = application.alerts.list_alerts(fingerprint=fingerprint, max_alerts=1)
    if not rows:
        raise RequestDenied(404, f"There is no alert with the fingerprint {fingerprint}.")
    return web_of(request).pages.page(request, "silence.html", title="Silence", alert=rows[0])


@router.post("/alerts/silence")
def silence(application: ApplicationDep, form: FormDep, actor: Operator) -> Response:
    """Silence the alerts of a cause for a time, or until a time in UTC."""
    application.alerts.silence(
        author=actor,
        duration_seconds=_seconds(form),
        fingerprint=form.get("fingerprint") or None,
        reason=form.get("reason", "")[:500] or None,
    )
    return back("/dashboard/alerts", "silenced")


@router.post("/alerts/silences/{silence_id}/end", dependencies=[Depends(form_of)])
def end_silence(application: ApplicationDep, actor: Operator, silence_id: UUID) -> Response:
    """End a silence early."""
    ended = application.alerts.end_silence(silence_id, actor)
    return back("/dashboard/alerts", "unsilenced" if ended.changed else "unsilenced_before")


def _seconds(form: Form) -> float:
    """Return the duration that a form gives as seconds, or as the time of its end.

    Raises:
        InvalidArgument: It gives neither.
    """
    try:
        if form.get("seconds"):
            return float(form["seconds"])
        until = datetime.fromisoformat(form.get("until", ""))
    except ValueError:
        raise InvalidArgument("Choose how long the alert is silenced, or until when.") from None
    return seconds_until(until)


@router.post("/notify/weekly", dependencies=[Depends(form_of)])
def notify_weekly(application: ApplicationDep, actor: Operator) -> Response:
    """Announce the summary of the last full week to all targets."""
    week = notify(application, None, actor)
    outcome = "notified" if week.created else "notified_before" if week.targets else "not_notified"
    return back("/dashboard/alerts", outcome, len(week.targets))
