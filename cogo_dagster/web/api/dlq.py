"""The dead-letter queue: list, replay and discard."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.web.api.bulk import Filters, done
from cogo_dagster.web.api.schemas import NO_NULL, DeadLetterPage, Done, Incidents
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.lookups import part_of
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/dlq", tags=["dead-letter queue"], responses=problems(401, 403, 422, 429))

Text = Annotated[str | None, Query(max_length=200, pattern=NO_NULL)]


class Replay(Filters):
    """Which dead-lettered jobs to replay."""

    fingerprint: str | None = Field(None, max_length=64, pattern=NO_NULL, description="Fingerprint of the cause.")


JobId = Annotated[
    UUID, part_of("job", "job_id", "ID of the dead-lettered job, or 8 or more of its first or last digits.")
]

Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NULL, description="Why it is discarded.")]


class Discard(Replay):
    """Which dead-lettered jobs to discard, and why."""

    reason: Reason


class DiscardOne(BaseModel):
    """Why a dead-lettered job is discarded."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


@router.get("", dependencies=[Depends(require_reader)], responses=problems(404))
def list_dlq(
    application: ApplicationDep,
    *,
    type: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Type prefix.")] = None,
    executor: Text = None,
    fingerprint: Annotated[str | None, Query(max_length=64, pattern=NO_NULL)] = None,
    since_seconds: Annotated[float | None, Query(ge=0, le=315_360_000)] = None,
    open_only: Annotated[bool, Query(description="Only jobs that were neither replayed nor retried.")] = True,
    before: Before = None,
    limit: PageSize = 50,
) -> DeadLetterPage:
    """Dead-lettered jobs, newest failure first."""
    rows = application.queue.list_dlq(
        type_prefix=type,
        executor_id=executor,
        fingerprint=fingerprint,
        since_seconds=since_seconds,
        open_only=open_only,
        before=read_cursor(before, "failed_at", "job_id"),
        max_jobs=limit,
    )
    return DeadLetterPage(dead_letters=rows, next=next_cursor(rows, limit, "failed_at", "job_id"))


@router.get("/incidents", dependencies=[Depends(require_reader)])
def list_incidents(
    application: ApplicationDep,
    *,
    type: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Type prefix.")] = None,
    since_seconds: Annotated[float | None, Query(ge=0, le=315_360_000)] = None,
    limit: PageSize = 50,
) -> Incidents:
    """Open dead-lettered jobs grouped by cause, most frequent first."""
    rows = application.queue.list_incidents(type_prefix=type, since_seconds=since_seconds, max_incidents=limit)
    return Incidents(incidents=rows)


@router.post("/replay", responses=problems(404, 409))
def replay_dlq(application: ApplicationDep, actor: Actor, what: Replay) -> Done:
    """Enqueue dead-lettered jobs again, each once, as new jobs. A dry run unless `dry_run` is false."""
    arguments = what.arguments() | {"fingerprint": what.fingerprint}
    return done(application, Operation("replay_dlq", arguments), actor, what)


@router.post("/discard", responses=problems(404, 409))
def discard_dlq(application: ApplicationDep, actor: Actor, what: Discard) -> Done:
    """Close dead-lettered jobs without a replay. A dry run unless `dry_run` is false."""
    arguments = what.arguments() | {"fingerprint": what.fingerprint, "reason": what.reason}
    return done(application, Operation("discard_dlq", arguments), actor, what)


@router.post("/{job_id}/discard", responses=problems(404, 409))
def discard_job(
    application: ApplicationDep,
    actor: Actor,
    job_id: JobId,
    why: DiscardOne,
) -> Done:
    """Close one dead-lettered job without a replay."""
    arguments = {"job_ids": [str(job_id)], "reason": why.reason}
    return done(application, Operation("discard_dlq", arguments), actor, Filters(dry_run=False))


@router.post("/{job_id}/replay", responses=problems(404, 409))
def replay_job(application: ApplicationDep, actor: Actor, job_id: JobId) -> Done:
    """Enqueue one dead-lettered job again, as a new job."""
    return done(application, Operation("replay_dlq", {"job_ids": [str(job_id)]}), actor, Filters(dry_run=False))
