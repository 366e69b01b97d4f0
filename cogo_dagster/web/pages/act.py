"""The dashboard's actions: forms of a logged-in operator, each written down in the log."""

from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.responses import Response

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.web.actions import MOST_AT_ONCE
from cogo_dagster.web.addresses import own_page
from cogo_dagster.web.dependencies import AppPart
from cogo_dagster.web.pages.forms import FormPart, Operator, back, form_of

router = APIRouter(prefix="/dashboard", include_in_schema=False)


@router.post("/jobs/{job_id}/cancel", dependencies=[Depends(form_of)])
def cancel(application: AppPart, actor: Operator, job_id: UUID) -> Response:
    """Cancel a queued job, or ask a running one to stop."""
    answer = application.queue.cancel(job_id, actor=actor)
    return back(f"/dashboard/jobs/{job_id}", "cancelled" if answer.status == "cancelled" else "asked")


@router.post("/jobs/{job_id}/retry")
def retry(application: AppPart, form: FormPart, actor: Operator, job_id: UUID) -> Response:
    """Put a failed job back into the queue under its own id."""
    arguments = {"job_ids": [str(job_id)], "reset_attempts": form.get("reset_attempts") == "on"}
    done = application.perform(Operation("retry_failed", arguments), actor)
    return back(f"/dashboard/jobs/{job_id}", "retried", done.changed)


@router.post("/jobs/{job_id}/replay", dependencies=[Depends(form_of)])
def replay_one(application: AppPart, actor: Operator, job_id: UUID) -> Response:
    """Put a dead letter back into the queue as a new job, and show that one."""
    done = application.perform(Operation("replay_dlq", {"job_ids": [str(job_id)]}), actor)
    new_id = done.items[0]["job_id"] if done.items else job_id
    return back(f"/dashboard/jobs/{new_id}", "replayed", done.changed)


@router.post("/dlq/replay")
def replay(application: AppPart, form: FormPart, actor: Operator) -> Response:
    """Replay all dead letters of a cause, or all there are."""
    arguments = {"fingerprint": form.get("fingerprint") or None}
    done = application.perform(Operation("replay_dlq", arguments), actor, limit=MOST_AT_ONCE)
    return back("/dashboard/dlq", "replayed", done.changed)


@router.post("/pause")
def pause(application: AppPart, form: FormPart, actor: Operator) -> Response:
    """Claim no more of a type, or let an executor claim nothing."""
    application.queue.pause(
        form.get("kind", ""), form.get("name", "").strip(), reason=form.get("reason", "")[:500] or None, actor=actor
    )
    return back(own_page(form.get("next"), "/dashboard/workers"), "paused")


@router.post("/resume")
def resume(application: AppPart, form: FormPart, actor: Operator) -> Response:
    """End a pause."""
    application.queue.resume(form.get("kind", ""), form.get("name", ""), actor=actor)
    return back(own_page(form.get("next"), "/dashboard/workers"), "resumed")
