"""The gate's numbers, as CI, the weekly notice and the runbook's scripts ask for them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from cogo_dagster.quality.records import GateRun, GateSummary, WeeklySummary
from cogo_dagster.quality.summary import markdown
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.api.schemas import NO_NULL, Week
from cogo_dagster.web.dependencies import AppPart, anybody, may_read
from cogo_dagster.web.lookups import providers, with_addresses
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/metrics", tags=["quality gate"], dependencies=[Depends(anybody)])

Branch = Annotated[
    str | None,
    Query(min_length=1, max_length=255, pattern=NO_NULL, description="The base branch; COGO_GATE_BRANCH if left out."),
]


class GateRuns(BaseModel):
    """Gate runs, newest first."""

    runs: list[GateRun]


@router.get("/quality/gate/recent", responses=problems(422))
def recent(
    request: Request,
    application: AppPart,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 3,
    branch: Annotated[
        str | None, Query(min_length=1, max_length=255, pattern=NO_NULL, description="All if left out.")
    ] = None,
) -> GateRuns:
    """The newest `gate_fix` runs, with absolute addresses of their reports that sign on click."""
    runs = application.gates.recent("gate_fix", limit, branch=branch)
    return GateRuns(runs=[with_addresses(request, run) for run in runs])


@router.get("/gate/summary", responses=problems(422))
def summary(
    request: Request,
    application: AppPart,
    *,
    hours: Annotated[float, Query(ge=0.1, le=744, description="So many hours before now.")] = 24,
    branch: Branch = None,
) -> GateSummary:
    """The gate's verdict on the last hours, and the numbers behind it; without a token, no messages of errors."""
    found = application.gates.summary(hours, branch).model_copy(update={"providers": providers(application)})
    return found if may_read(request) else without_messages(found)


@router.get("/weekly/summary", responses=problems(404, 422))
def weekly(
    request: Request,
    application: AppPart,
    *,
    week: Week = None,
    branch: Branch = None,
) -> WeeklySummary:
    """An ISO week beside the week before; without a token, no messages of errors."""
    try:
        found = application.gates.weekly(week, branch)
    except InvalidArgument as error:
        if week is None:
            raise
        raise RequestDenied(404, str(error)) from None
    if may_read(request):
        return found
    this, last = without_messages(found.this_week), without_messages(found.last_week)
    words = markdown(found.week, this, last, complete=found.complete)
    return found.model_copy(update={"this_week": this, "last_week": last, "markdown": words})


def without_messages(summary: GateSummary) -> GateSummary:
    """Return the numbers without the messages of errors, which may hold what jobs were about."""
    failures = [failure.model_copy(update={"message": ""}) for failure in summary.top_failures]
    quiet = [provider.model_copy(update={"error": None}) for provider in summary.providers]
    return summary.model_copy(update={"top_failures": failures, "providers": quiet})
