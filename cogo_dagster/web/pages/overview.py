"""`/dashboard/local`: how things stand, in one look."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.web.api.metrics import providers, with_addresses
from cogo_dagster.web.dependencies import AppPart, WebPart, anybody, may_read
from cogo_dagster.web.pictures import bars, gate_latency, gate_trend
from cogo_dagster.web.render import Pages

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(anybody)])


@router.get("/local")
def local(request: Request, web: WebPart, application: AppPart) -> Response:
    """The gate and its trend, the queue's strip, latencies, the last fixes, providers, the causes of failure.

    Without a session it shows aggregates only: no messages of errors, no reasons of pauses, no names of operators.
    """
    pages: Pages = request.app.state.pages
    rows = _rows(application) if may_read(request) else web.backend.open_page(_rows_without_messages)
    return pages.page(
        request,
        "local.html",
        title="Overview",
        history=(history := web.backend.history()),
        throughput=bars(history.hours),
        throughput_narrow=bars(history.hours, 360),
        gate=web.backend.gate(),
        trend=gate_trend(rows["gate_runs"]),
        latency=gate_latency(rows["gate_runs"]),
        **rows | {"fixes": [with_addresses(request, run) for run in rows["fixes"]]},
    )


def _rows(application: Application) -> dict[str, Any]:
    gates = application.gates
    return {
        "paused": application.queue.list_paused(),
        "gate_runs": gates.recent("gate", 40, branch=gates.branch),
        "fixes": gates.recent("gate_fix", 5),
        "providers": providers(application),
        "incidents": application.queue.list_incidents(max_incidents=5),
    }


def _rows_without_messages(application: Application) -> dict[str, Any]:
    rows = _rows(application)
    quiet = [provider.model_copy(update={"error": None}) for provider in rows["providers"]]
    causes = [incident.model_copy(update={"message": None}) for incident in rows["incidents"]]
    return rows | {"paused": [], "providers": quiet, "incidents": causes}
