"""Page of an ISO week beside the week before: numbers, days, failures, and the pages whose jobs counted in it."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.quality.comparison import compared, gate_days
from cogo_dagster.quality.weeks import shifted
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.cursors import cursor_of, following, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, note_numbers, require_reader, web_of

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader), Depends(note_numbers)]
)

DAYS: Final = 7
PAGES: Final = 12


@router.get("/weeks")
def weeks(
    request: Request,
    application: ApplicationDep,
    week: Annotated[str | None, Query(max_length=20)] = None,
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """A week (default: the current one) beside the one before; a running week beside the same part of it, too."""
    gates, now = application.gates, datetime.now(UTC)
    try:
        shown = gates.weekly(week or gates.current_week())
    except InvalidArgument as error:
        raise RequestDenied(404, str(error)) from None
    same_part = gates.same_part_of_last_week(shown)
    pages = application.queue.list_pages(
        shown.start, shown.end, before=read_cursor(before, "finished_at", "job_id"), max_pages=PAGES
    )
    return web_of(request).pages.page(
        request,
        "weeks.html",
        title=f"Week {shown.week}",
        week=shown,
        same_part=same_part,
        rows=compared(shown.this_week, same_part or shown.last_week),
        whole=compared(shown.this_week, shown.last_week),
        days=gate_days(shown.this_week, DAYS, gates.threshold, now),
        last_days=gate_days(shown.last_week, DAYS, gates.threshold, now),
        earlier=shifted(shown.week, -1),
        later=None if shown.week == gates.current_week() else shifted(shown.week, 1),
        pages=pages.pages,
        following=following(week=week, before=cursor_of(*pages.before.values()) if pages.before else None),
        is_first=before is None,
    )
