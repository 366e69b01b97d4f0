"""`/dashboard/local`: the overview."""

from dataclasses import dataclass, replace
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.records import GateRun, ProviderHealth
from cogo_dagster.queue.rows.dead_letters import Incident
from cogo_dagster.queue.rows.operations import PausedRow
from cogo_dagster.web.dependencies import ApplicationDep, WebDep, allow_anonymous, may_read, note_numbers
from cogo_dagster.web.history import hour_buckets
from cogo_dagster.web.lookups import providers, with_addresses
from cogo_dagster.web.pictures import bars, gate_latency, gate_trend

_SHOWN_ALERTS: Final = 5

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(allow_anonymous), Depends(note_numbers)]
)


@dataclass(frozen=True, slots=True)
class OverviewRows:
    """Rows on the overview."""

    paused: list[PausedRow]
    gate_runs: list[GateRun]
    fixes: list[GateRun]
    providers: list[ProviderHealth]
    incidents: list[Incident]


@router.get("/local")
def local(request: Request, web: WebDep, application: ApplicationDep) -> Response:
    """Overview: quality gate, queue statistics, latencies, recent fixes, provider health, causes of failures.

    Without a session it shows aggregates only: no error messages, reasons of pauses, or names of operators.
    """
    reader = may_read(request)
    rows = _rows(application) if reader else web.backend.open_page(_rows_without_messages)
    history = web.backend.history()
    return web.pages.page(
        request,
        "local.html",
        title="Overview",
        history=history,
        throughput=bars(hour_buckets(history.hours)),
        throughput_narrow=bars(hour_buckets(history.hours), 360),
        gate=web.backend.gate(),
        trend=gate_trend(rows.gate_runs),
        latency=gate_latency(rows.gate_runs),
        gate_runs=rows.gate_runs,
        fixes=[with_addresses(request, run) for run in rows.fixes],
        paused=rows.paused,
        providers=rows.providers,
        incidents=rows.incidents,
        reasons=web.backend.reasons() if reader else None,
        firing=application.alerts.list_alerts(status="firing", max_alerts=_SHOWN_ALERTS) if reader else [],
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
