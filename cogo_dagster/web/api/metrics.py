"""Quality-gate metrics for CI, the weekly summary and scripts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from cogo_dagster.quality.records import GateRun, GateSummary, WeeklySummary
from cogo_dagster.quality.summary import markdown
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.api.schemas import NO_NULL, Week
from cogo_dagster.web.dependencies import ApplicationDep, allow_anonymous, may_read
from cogo_dagster.web.lookups import providers, with_addresses
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/metrics", tags=["quality gate"], dependencies=[Depends(allow_anonymous)])

Branch = Annotated[
    str | None,
    Query(min_length=1, max_length=255, pattern=NO_NULL, description="Base branch; default: COGO_GATE_BRANCH."),
]


class GateRuns(BaseModel):
    """Gate runs, newest first."""

    runs: list[GateRun]


@router.get("/quality/gate/recent", responses=problems(422))
def recent(
    request: Request,
    application: ApplicationDep,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 3,
    branch: Annotated[
        str | None, Query(min_length=1, max_length=255, pattern=NO_NULL, description="Base branch; default: all.")
    ] = None,
) -> GateRuns:
    """The latest `gate_fix` runs, with absolute report URLs that redirect to signed ones."""
    runs = application.gates.recent("gate_fix", limit, branch=branch)
    return GateRuns(runs=[with_addresses(request, run) for run in runs])


@router.get("/gate/summary", responses=problems(422))
def summary(
    request: Request,
    application: ApplicationDep,
    *,
    hours: Annotated[float, Query(ge=0.1, le=744, description="Length of the window, which ends now.")] = 24,
    branch: Branch = None,
) -> GateSummary:
    """Q1 of the window and the numbers behind it. Error messages are left out without a token."""
    gate_summary = application.gates.summary(hours, branch).model_copy(update={"providers": providers(application)})
    return gate_summary if may_read(request) else without_messages(gate_summary)


@router.get("/weekly/summary", responses=problems(404, 422))
def weekly(
    request: Request,
    application: ApplicationDep,
    *,
    week: Week = None,
    branch: Branch = None,
) -> WeeklySummary:
    """An ISO week compared with the week before. Error messages are left out without a token."""
    try:
        summary_of_week = application.gates.weekly(week, branch)
    except InvalidArgument as error:
        if week is None:
            raise
        raise RequestDenied(404, str(error)) from None
    if may_read(request):
        return summary_of_week
    this, last = without_messages(summary_of_week.this_week), without_messages(summary_of_week.last_week)
    text = markdown(summary_of_week.week, this, last, complete=summary_of_week.complete)
    return summary_of_week.model_copy(update={"this_week": this, "last_week": last, "markdown": text})


def without_messages(summary: GateSummary) -> GateSummary:
    """Return a summary without error messages, which may contain data of jobs."""
    failures = [failure.model_copy(update={"message": ""}) for failure in summary.top_failures]
    probes = [provider.model_copy(update={"error": None}) for provider in summary.providers]
    return summary.model_copy(update={"top_failures": failures, "providers": probes})
