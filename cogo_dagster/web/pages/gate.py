"""Pages of the quality gate: its runs with a forecast, and one run with its failed tests."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.quality.forecast import forecast_text
from cogo_dagster.quality.records import GateRun
from cogo_dagster.quality.reports.files import ReportError
from cogo_dagster.quality.reports.junit import failed_tests
from cogo_dagster.quality.reports.stored import report_texts
from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.cursors import cursor_of, following, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, WebDep, note_numbers, require_reader, web_of
from cogo_dagster.web.lookups import part_of, with_addresses

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader), Depends(note_numbers)]
)

PAGE: Final = 50

GateRunId = Annotated[UUID, part_of("gate_run", "gate_run_id", "Gate run ID.")]

GateFilter = Literal["gate", "gate_fix", "all"]


@router.get("/gate")
def gate(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    web: WebDep,
    application: ApplicationDep,
    branch: Annotated[str | None, Query(min_length=1, max_length=255)] = None,
    type: GateFilter = "gate",
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Q1 with a forecast, and the runs of a branch or of all branches, newest first."""
    gates = application.gates
    summary = web.backend.gate() if branch in (None, gates.branch) else gates.summary(branch=branch)
    found = gates.forecast(summary)
    runs = gates.recent(
        None if type == "all" else type,
        PAGE,
        branch=(branch or gates.branch) if type == "gate" else branch,
        before=read_cursor(before, "created_at", "gate_run_id"),
    )
    return web.pages.page(
        request,
        "gate.html",
        title="Gate",
        gate=summary,
        forecast=found,
        forecast_text=forecast_text(found, datetime.now(UTC)),
        branch=branch or gates.branch,
        only_branch=branch,
        branches=list(dict.fromkeys([gates.branch, *summary.branches])),
        type=type,
        runs=[with_addresses(request, run) for run in runs],
        following=following(branch=branch, type=type, before=_cursor(runs)),
    )


@router.get("/gate/{gate_run_id}")
def gate_run(request: Request, application: ApplicationDep, gate_run_id: GateRunId) -> Response:
    """One run: its numbers, its reports and the tests that failed."""
    run = application.gates.find(gate_run_id)
    if run is None:
        raise RequestDenied(404, f"There is no gate run {gate_run_id}.")
    tests, problem = _failed_tests(application, run)
    return web_of(request).pages.page(
        request,
        "gate_run.html",
        title=f"Gate run {run.commit_sha[:8]}",
        run=with_addresses(request, run),
        tests=tests,
        problem=problem,
    )


def _cursor(runs: list[GateRun]) -> str | None:
    """Return the cursor after a full page."""
    last = runs[-1] if len(runs) == PAGE else None
    return (
        cursor_of(last.created_at.isoformat(), last.gate_run_id)
        if last and isinstance(last.created_at, datetime)
        else None
    )


def _failed_tests(application: Application, run: GateRun) -> tuple[list[str], str | None]:
    """Return the names of the failed tests, or why they are unknown."""
    if run.junit_artifact_id is None:
        return [], "The run has no JUnit report that is still stored." if run.tests_failed else None
    rows = application.queue.get_artifacts([UUID(run.junit_artifact_id)])
    if not rows or rows[0].storage_key is None:
        return [], "The JUnit report has been deleted."
    try:
        with application.store.open(rows[0].storage_key) as file:
            return failed_tests(report_texts(file)), None
    except (ArtifactStoreError, ReportError, ValueError):
        pass
    return [], "The JUnit report cannot be read."
