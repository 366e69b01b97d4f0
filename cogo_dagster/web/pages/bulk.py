"""Bulk actions on the jobs of a search: preview, run, progress; and completions of a search."""

import logging
from collections import Counter
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.bulk_actions import (
    INELIGIBLE,
    PAST_TENSE,
    Preview,
    plan,
    preview,
    preview_dead_letters,
    run,
    skipped_jobs,
)
from cogo_dagster.queue.errors import InvalidArgument, QueueError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.bulk_actions import ActionName, BulkAction
from cogo_dagster.queue.search.grammar import MAX_CHARS, JobSearch
from cogo_dagster.queue.search.suggestions import complete
from cogo_dagster.release import code_version
from cogo_dagster.web.backend import Backend
from cogo_dagster.web.dependencies import ApplicationDep, require_reader, web_of
from cogo_dagster.web.lookups import wait_reasons
from cogo_dagster.web.pages.forms import Form, FormDep, Operator, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False)

_log = logging.getLogger(__name__)

_SHOWN: Final = 20

_MAX_COUNTED: Final = 1_000

_OPERATION: Final[TypeAdapter[ActionName]] = TypeAdapter(ActionName)


@router.get("/jobs/suggest", dependencies=[Depends(require_reader)])
def suggest(application: ApplicationDep, q: Annotated[str, Query(max_length=MAX_CHARS)] = "") -> Response:
    """Completions of the last term of a search."""
    found = complete(q, application.queue.suggest_values)
    return JSONResponse([{"text": one.text, "label": one.label, "meaning": one.meaning} for one in found])


@router.get("/pause", dependencies=[Depends(require_reader)])
def pause_form(
    request: Request, application: ApplicationDep, q: Annotated[str, Query(max_length=MAX_CHARS)] = ""
) -> Response:
    """Forms to pause the types of the jobs of a search."""
    search = JobSearch.parse_strictly(q)
    found = application.queue.select_for_action("cancel", search.filter(code_version()), max_jobs=_MAX_COUNTED)
    return web_of(request).pages.page(
        request,
        "pause.html",
        title="Pause",
        query=str(search),
        types=Counter(item.type for item in found.items).most_common(_SHOWN),
        is_cut=found.before_id is not None,
    )


@router.post("/actions")
def choose(application: ApplicationDep, form: FormDep, actor: Operator) -> Response:
    """Choose the jobs of a search for an action, and show the preview."""
    operation = _operation(form.get("operation"))
    if "dlq" in form:
        search, found = _dead_letters(application, operation, form)
    else:
        search = JobSearch.parse(form.get("q", ""))
        found = preview(application.queue, operation, search)
    items = [item.document for item in found.items]
    stored = plan(application.queue, operation, items, actor, query=str(search), summary=found.summary)
    return back(f"/dashboard/actions/{stored.id}")


@router.get("/actions", dependencies=[Depends(require_reader)])
def actions(request: Request, application: ApplicationDep) -> Response:
    """Bulk actions, newest first."""
    return web_of(request).pages.page(
        request, "actions.html", title="Bulk actions", bulk_actions=application.queue.list_actions(), done=PAST_TENSE
    )


@router.get("/actions/{part}", dependencies=[Depends(require_reader)])
def action(request: Request, application: ApplicationDep, part: str) -> Response:
    """The preview of an action, its progress, and its jobs."""
    found = application.queue.find_action(part)
    search = JobSearch.parse(f"action:{found.id}")
    left_out = skipped_jobs(application.queue, found)
    page = application.queue.query_jobs(search.filter(code_version()), max_jobs=_SHOWN)
    return web_of(request).pages.page(
        request,
        "action.html",
        title=f"{found.operation} {found.name}",
        action=found,
        done=PAST_TENSE.get(found.operation, ""),
        why_not=INELIGIBLE,
        not_chosen=_reasons_in(found.summary),
        skipped=[(reason, count, left_out.job_ids.get(reason, [])) for reason, count in left_out.counts.items()],
        release=code_version(),
        jobs=page.jobs,
        reasons=wait_reasons(application, page.jobs),
    )


@router.post("/actions/{action_id}/run")
def start(request: Request, application: ApplicationDep, form: FormDep, actor: Operator, action_id: UUID) -> Response:
    """Run an action, or try it on one job first."""
    found = application.queue.find_action(str(action_id))
    if found.state == "planned":
        _describe(application, found, form, actor)
    if form.get("first"):
        run(application.queue, action_id, actor, limit=1)
        return back(f"/dashboard/actions/{action_id}")
    response = back(f"/dashboard/actions/{action_id}")
    response.background = BackgroundTask(_run, web_of(request).backend, action_id, actor)
    return response


@router.post("/actions/{action_id}/stop", dependencies=[Depends(form_of)])
def stop(application: ApplicationDep, actor: Operator, action_id: UUID) -> Response:  # noqa: ARG001 - operators only
    """Stop an action after the batch that runs."""
    application.queue.stop_action(action_id)
    return back(f"/dashboard/actions/{action_id}")


def _dead_letters(application: Application, operation: ActionName, form: Form) -> tuple[JobSearch, Preview]:
    """Return the jobs that a form of the dead-letter queue chooses: one, those of a cause, or all."""
    job_id, cause = form.get("job_id"), form.get("fingerprint") or None
    found_id = application.queue.find_id(job_id) if job_id else None
    found = preview_dead_letters(application.queue, operation, fingerprint=cause, job_id=found_id)
    search = JobSearch().and_also(**{"is": "dead-lettered"}, cause=cause, id=job_id or None)
    return search, found


def _reasons_in(summary: Json) -> list[tuple[str, int, list[str]]]:
    """Return why a preview left jobs out, their number, and the first of them."""
    counts, job_ids = (
        found if isinstance(summary, dict) and isinstance(found := summary.get(name), dict) else {}
        for name in ("ineligible", "ineligible_jobs")
    )
    return [(why, count, job_ids.get(why, [])) for why, count in counts.items()]


def _operation(name: str | None) -> ActionName:
    try:
        return _OPERATION.validate_python(name)
    except ValidationError:
        raise InvalidArgument(f"Unknown action: use {', '.join(PAST_TENSE)}.") from None


def _describe(application: Application, found: BulkAction, form: Form, actor: str) -> None:
    """Store the name of an action, and what its operation takes."""
    arguments: dict[str, Json] = {}
    if found.operation == "discard":
        arguments["reason"] = form.get("reason", "").strip()
        if not arguments["reason"]:
            raise InvalidArgument("A discard needs a reason: go back, and write why.")
    elif found.operation == "retry":
        arguments["reset_attempts"] = form.get("reset_attempts") == "on"
    name = form.get("name", "").strip()
    plan(
        application.queue,
        _operation(str(found.operation)),
        [],
        actor,
        name=name,
        arguments=arguments,
        action_id=found.id,
    )


def _run(backend: Backend, action_id: UUID, actor: str) -> None:
    """Run an action after the response; its page continues it if this fails."""
    try:
        run(backend.application.queue, action_id, actor, on_batch=lambda _: backend.forget_numbers())
    except QueueError as error:
        _log.warning("The bulk action %s was interrupted: %s Its page continues it.", action_id, error)
