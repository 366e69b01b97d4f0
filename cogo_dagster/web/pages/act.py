"""The dashboard's actions: forms of a logged-in operator, recorded in the operations log."""

from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.responses import Response

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.web.addresses import own_page
from cogo_dagster.web.dependencies import ApplicationDep
from cogo_dagster.web.pages.forms import FormDep, Operator, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False)


@router.post("/jobs/{job_id}/cancel", dependencies=[Depends(form_of)])
def cancel(application: ApplicationDep, actor: Operator, job_id: UUID) -> Response:
    """Cancel a queued job, or request cancellation of a running one."""
    result = application.queue.cancel(job_id, actor=actor)
    return back(f"/dashboard/jobs/{job_id}", "cancelled" if result.status == "cancelled" else "cancel_requested")


@router.post("/jobs/{job_id}/retry")
def retry(application: ApplicationDep, form: FormDep, actor: Operator, job_id: UUID) -> Response:
    """Retry a failed job under the same ID."""
    arguments = {"job_ids": [str(job_id)], "reset_attempts": form.get("reset_attempts") == "on"}
    done = application.perform(Operation("retry_failed", arguments), actor)
    return back(f"/dashboard/jobs/{job_id}", "retried", done.changed)


@router.post("/jobs/{job_id}/replay", dependencies=[Depends(form_of)])
def replay_one(application: ApplicationDep, actor: Operator, job_id: UUID) -> Response:
    """Replay a dead-lettered job, and show the new one."""
    done = application.perform(Operation("replay_dlq", {"job_ids": [str(job_id)]}), actor)
    new_id = done.items[0]["job_id"] if done.items else job_id
    return back(f"/dashboard/jobs/{new_id}", "replayed", done.changed)


@router.post("/log/{operation_id}/undo", dependencies=[Depends(form_of)])
def undo(application: ApplicationDep, actor: Operator, operation_id: UUID) -> Response:
    """Undo a discard."""
    done = application.perform(Operation("undo_discard", {"discard_id": str(operation_id)}), actor)
    return back("/dashboard/log", "undone" if done.changed else "not_undone", done.changed)


@router.post("/pause")
def pause(application: ApplicationDep, form: FormDep, actor: Operator) -> Response:
    """Pause a type or an executor."""
    change = application.pause(
        form.get("kind", ""), form.get("name", "").strip(), reason=form.get("reason", "")[:500] or None, actor=actor
    )
    if not change.changed:
        return back("/dashboard/workers", "paused_before")
    return back(own_page(form.get("next"), "/dashboard/workers"), "paused" if change.known else "paused_unknown")


@router.post("/resume")
def resume(application: ApplicationDep, form: FormDep, actor: Operator) -> Response:
    """End a pause."""
    change = application.queue.resume(form.get("kind", ""), form.get("name", ""), actor=actor)
    outcome = "resumed" if change.changed else "resumed_before"
    return back(own_page(form.get("next"), "/dashboard/workers"), outcome)
