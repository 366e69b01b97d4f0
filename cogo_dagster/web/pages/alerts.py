"""Alerts, their deliveries and their targets."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from cogo_dagster.web.parts import require_reader
from cogo_dagster.web.render import Pages

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])


@router.get("/alerts")
def alerts(request: Request) -> Response:
    """What fires, what was sent where, and whether the targets can be reached."""
    pages: Pages = request.app.state.pages
    return pages.page(request, "alerts.html", title="Alerts")
