"""Page of the history: finished jobs and the gate's pass rate, over a day, a week or a month."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.quality.comparison import GateDay, gate_days
from cogo_dagster.web.dependencies import Web, WebDep, note_numbers, require_reader
from cogo_dagster.web.history import Bucket, day_buckets, hour_buckets, jobs_chart, rate_chart, types_chart
from cogo_dagster.web.pictures import bars

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader), Depends(note_numbers)]
)

Range = Literal["24h", "7d", "30d"]

RANGES: Final[dict[Range, str]] = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
BUCKETS: Final[dict[Range, int]] = {"24h": 24, "7d": 168, "30d": 30}
HOUR_SECONDS: Final = 3_600
DAY_SECONDS: Final = 86_400
RATE_DAYS: Final = 30


@router.get("/history")
def history(
    request: Request,
    web: WebDep,
    chosen: Annotated[Range, Query(alias="range")] = "24h",
    by: Literal["status", "type"] = "status",
) -> Response:
    """Finished jobs by hour or day, and by status or type; the pass rate by day; each with a table of the values."""
    seconds = DAY_SECONDS if chosen == "30d" else HOUR_SECONDS
    types = web.backend.types(BUCKETS[chosen], seconds // HOUR_SECONDS) if by == "type" else None
    buckets = _buckets(web, chosen)
    rates = _rates(web)
    return web.pages.page(
        request,
        "history.html",
        title="History",
        ranges=RANGES,
        range=chosen,
        buckets=buckets,
        picture=bars(buckets),
        jobs_chart=types_chart(types, seconds) if types else jobs_chart(buckets),
        by=by,
        types=types,
        rates=rates,
        rate_chart=rate_chart(rates, web.backend.gate().q1.min_pass_rate),
    )


def _buckets(web: Web, chosen: Range) -> list[Bucket]:
    """Return the buckets of a range."""
    if chosen == "30d":
        month = web.backend.month()
        return day_buckets(month.days, month.window.start, RATE_DAYS)
    return hour_buckets(web.backend.history(24 if chosen == "24h" else 168).hours)


def _rates(web: Web) -> list[GateDay]:
    """Return the days that the page of a week shows, with the same verdicts."""
    return gate_days(web.backend.month(), RATE_DAYS, web.backend.application.gates.threshold, datetime.now(UTC))
