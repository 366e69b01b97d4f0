"""`/dashboard/local`: how things stand, in one look."""

from dataclasses import dataclass, replace

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.records import GateRun, ProviderHealth
from cogo_dagster.queue.rows.dead_letters import Incident
from cogo_dagster.queue.rows.operations import PausedRow
from cogo_dagster.web.dependencies import AppPart, WebPart, anybody, may_read
from cogo_dagster.web.lookups import providers, with_addresses
from cogo_dagster.web.pictures import bars, gate_latency, gate_trend

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(anybody)])


@dataclass(frozen=True, slots=True)
class OverviewRows:
    """What the overview lists."""

    paused: list[PausedRow]
    gate_runs: list[GateRun]
    fixes: list[GateRun]
    providers: list[ProviderHealth]
    incidents: list[Incident]


@router.get("/local")
def local(request: Request, web: WebPart, application: AppPart) -> Response:
    """The gate and its trend, the queue's strip, latencies, the last fixes, providers, the causes of failure.

    Without a session it shows aggregates only: no messages of errors, no reasons of pauses, no names of operators.
    """
    rows = _rows(application) if may_read(request) else web.backend.open_page(_rows_without_messages)
    history = web.backend.history()
    return web.pages.page(
        request,
        "local.html",
        title="Overview",
        history=history,
        throughput=bars(history.hours),
        throughput_narrow=bars(history.hours, 360),
        gate=web.backend.gate(),
        trend=gate_trend(rows.gate_runs),
        latency=gate_latency(rows.gate_runs),
        gate_runs=rows.gate_runs,
        fixes=[with_addresses(request, run) for run in rows.fixes],
        paused=rows.paused,
        providers=rows.providers,
        incidents=rows.incidents,
    )


def _rows(application: Application) -> OverviewRows:
    gates = application.gates
    return OverviewRows(
        paused=application.queue.list_paused(),
        gate_runs=gates.recent("gate", 40, branch=gates.branch),
        fixes=gates.recent("gate_fix", 5),
        providers=providers(application),
        incidents=application.queue.list_incidents(max_incidents=5),
    )


def _rows_without_messages(application: Application) -> OverviewRows:
    rows = _rows(application)
    return replace(
        rows,
        paused=[],
        providers=[provider.model_copy(update={"error": None}) for provider in rows.providers],
        incidents=[incident.model_copy(update={"message": None}) for incident in rows.incidents],
    )
