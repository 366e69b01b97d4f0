"""Pages of jobs, dead-lettered jobs and operations."""

from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.rows.bulk_actions import MatchCount, ReplayResults
from cogo_dagster.queue.rows.jobs import FoundJobs
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.qualifiers import QUALIFIERS, STATUSES
from cogo_dagster.release import code_version
from cogo_dagster.web.cursors import following, next_cursor, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, WebDep, note_numbers, require_reader, web_of
from cogo_dagster.web.lookups import page_of_id, wait_reasons

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader), Depends(note_numbers)]
)

PAGE: Final = 50

_MAX_TYPED: Final = 10_000
"""Characters of a search that are read, so that the page itself can say that it is too long."""

Cursor = Annotated[str | None, Query(max_length=200)]


@router.get("/jobs")
def jobs(
    request: Request,
    web: WebDep,
    application: ApplicationDep,
    q: Annotated[str, Query(max_length=_MAX_TYPED)] = "",
    before: UUID | None = None,
) -> Response:
    """Jobs that match a search, newest first, with counts by status."""
    if address := page_of_id(application, q.strip()):
        return RedirectResponse(address, 303)
    search = JobSearch.parse(q)
    found = application.queue.query_jobs(search.filter(code_version()), before_id=before, max_jobs=PAGE)
    return web_of(request).pages.page(
        request,
        "jobs.html",
        title="Jobs",
        counts=web.backend.counts(),
        statuses=STATUSES,
        qualifiers=QUALIFIERS,
        search=search,
        typed=q if search.problems else str(search),
        chips=[(str(term), f"?{urlencode({'q': str(search.without(term))})}") for term in search.terms],
        link=lambda text: f"/dashboard/jobs?{urlencode({'q': str(text)})}",
        jobs=found.jobs,
        reasons=wait_reasons(application, found.jobs),
        looked_until=found.looked_until,
        following=following(q=str(search), before=str(found.before_id) if found.before_id else None),
        matches=_matches(application, search, found, is_first=before is None),
        is_first=before is None,
    )


@router.get("/dlq")
def dlq(
    request: Request,
    application: ApplicationDep,
    fingerprint: Annotated[str | None, Query(max_length=64)] = None,
    before: Cursor = None,
) -> Response:
    """Causes in the dead-letter queue, or the jobs of one cause."""
    rows = application.queue.list_dlq(
        fingerprint=fingerprint, before=read_cursor(before, "failed_at", "job_id"), max_jobs=PAGE
    )
    incidents = application.queue.list_incidents(max_incidents=PAGE)
    return web_of(request).pages.page(
        request,
        "dlq.html",
        title="Dead-letter queue",
        incidents=incidents,
        cause=next((incident for incident in incidents if incident.fingerprint == fingerprint), None),
        fingerprint=fingerprint,
        replays=_replays(application, fingerprint),
        dead_lettered=rows,
        following=following(fingerprint=fingerprint, before=next_cursor(rows, PAGE, "failed_at", "job_id")),
    )


@router.get("/log")
def log(request: Request, application: ApplicationDep, before: Cursor = None) -> Response:
    """The operations log."""
    rows = application.queue.list_operations(before=read_cursor(before, "created_at", "id"), max_operations=PAGE)
    return web_of(request).pages.page(
        request,
        "log.html",
        title="Log",
        operations=rows,
        following=following(before=next_cursor(rows, PAGE, "created_at", "id")),
    )


def _matches(application: Application, search: JobSearch, found: FoundJobs, *, is_first: bool) -> MatchCount:
    """Return the number of jobs that match a search, which a complete page shows already."""
    if is_first and found.before_id is None:
        return MatchCount(count=len(found.jobs), more=False)
    if is_first and found.looked_until is not None:  # a count would read the same jobs
        return MatchCount(count=len(found.jobs), more=True)
    if not search.terms:
        return MatchCount(count=0, more=True)
    return application.queue.count_query(search.filter(code_version()))


def _replays(application: Application, fingerprint: str | None) -> ReplayResults | None:
    """Return what became of the replays of a cause; None if none has ended."""
    return application.queue.replay_results([fingerprint]).get(fingerprint) if fingerprint else None
