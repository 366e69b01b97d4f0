"""`/dashboard/local`: how things stand, in one look."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from cogo_dagster.web.api.metrics import providers, with_addresses
from cogo_dagster.web.parts import AppPart, WebPart, require_reader
from cogo_dagster.web.pictures import bars, gate_latency, gate_trend
from cogo_dagster.web.render import Pages

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])


@router.get("/local")
def local(request: Request, web: WebPart, application: AppPart) -> Response:
    """The gate and its trend, the queue's strip, latencies, the last fixes, providers, the causes of failure."""
    pages: Pages = request.app.state.pages
    return pages.page(
        request,
        "local.html",
        title="Overview",
        history=(history := web.backend.history()),
        throughput=bars(history.hours),
        throughput_narrow=bars(history.hours, 360),
        paused=application.queue.list_paused(),
        gate=web.backend.gate(),
        gate_runs=(runs := application.gates.recent("gate", 40, branch=application.gates.branch)),
        trend=gate_trend(runs),
        latency=gate_latency(runs),
        fixes=[with_addresses(request, run) for run in application.gates.recent("gate_fix", 5)],
        providers=providers(application),
        incidents=application.queue.list_incidents(max_incidents=5),
    )
