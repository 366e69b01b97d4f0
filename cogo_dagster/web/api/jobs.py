"""Jobs and their attempts, read and acted upon."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.responses import JSONResponse, Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.timeline import attempts_of
from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import WholeJob
from cogo_dagster.text import storable_json
from cogo_dagster.web.api.artifacts import artifact_document
from cogo_dagster.web.api.bulk import Filters, done
from cogo_dagster.web.api.schemas import NO_NULL, AttemptRow, Cancelled, Done, JobDetail, JobPage, Status
from cogo_dagster.web.cursors import PageSize
from cogo_dagster.web.dependencies import Actor, AppPart, require_reader
from cogo_dagster.web.lookups import no_such_job, reason
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/jobs", tags=["jobs"], responses=problems(401, 403, 422, 429))

Word = Annotated[str | None, Query(max_length=200, pattern=NO_NULL)]
JobId = Annotated[UUID, Path(description="The job's id.")]


class Retry(Filters):
    """Which failed jobs to put back, and how."""

    reset_attempts: StrictBool = Field(
        False, description="Count attempts from zero again, instead of granting one more."
    )


class RetryOne(BaseModel):
    """How to put a failed job back."""

    model_config = ConfigDict(extra="forbid")

    reset_attempts: StrictBool = Field(
        False, description="Count attempts from zero again, instead of granting one more."
    )


@router.get("", dependencies=[Depends(require_reader)])
def list_jobs(
    application: AppPart,
    *,
    status: Annotated[list[Status] | None, Query(max_length=5, description="Only these.")] = None,
    type: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Only types that begin so.")] = None,
    executor: Word = None,
    worker: Word = None,
    device: Word = None,
    error: Annotated[
        str | None, Query(max_length=200, pattern=NO_NULL, description="The class of the last error.")
    ] = None,
    q: Annotated[
        str | None, Query(max_length=200, pattern=NO_NULL, description="Words within id, key, error or payload.")
    ] = None,
    since_seconds: Annotated[float | None, Query(ge=0, le=315_360_000)] = None,
    before: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
    limit: PageSize = 50,
) -> JobPage:
    """Jobs, newest first. A rare filter looks at 20,000 jobs a page; `looked_until` says how far back it came."""
    found = application.queue.search_jobs(
        statuses=status,
        type_prefix=type,
        executor_id=executor,
        worker_id=worker,
        device=device,
        error_class=error,
        words=q,
        since_seconds=since_seconds,
        before_id=before,
        max_jobs=limit,
    )
    return JobPage(jobs=found.jobs, next=found.before_id, looked_until=found.looked_until)


@router.get("/{job_id}", dependencies=[Depends(require_reader)], responses=problems(404))
def get_job(application: AppPart, job_id: JobId) -> JobDetail:
    """One job, whole: why it is where it is, payload, attempts, artifacts."""
    job, words = look(application, job_id)
    of_its_own = {
        "why": words,
        "attempt_list": _attempts(job),
        "artifacts": [artifact_document(row) for row in job.artifacts],
    }
    return JobDetail.model_validate({**job.document, **of_its_own})


@router.get("/{job_id}/attempts", dependencies=[Depends(require_reader)], responses=problems(404))
def get_attempts(application: AppPart, job_id: JobId) -> list[AttemptRow]:
    """Every attempt of a job, oldest first."""
    return _attempts(look(application, job_id)[0])


_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The JSON document.", "content": {"application/json": {}}},
    **problems(404),
}


@router.get("/{job_id}/payload", dependencies=[Depends(require_reader)], response_class=Response, responses=_FILE)
def get_payload(application: AppPart, job_id: JobId) -> Response:
    """A job's payload as a file: whole, where the job's page shows its beginning."""
    return _file(whole(application, job_id).payload, f"payload-{job_id}.json")


@router.get("/{job_id}/result", dependencies=[Depends(require_reader)], response_class=Response, responses=_FILE)
def get_result(application: AppPart, job_id: JobId) -> Response:
    """A job's result as a file; null while there is none."""
    return _file(whole(application, job_id).result, f"result-{job_id}.json")


@router.post("/retry", responses=problems(404, 409))
def retry_failed(application: AppPart, actor: Actor, what: Retry) -> Done:
    """Put failed jobs back into the queue, each under its own id. A dry run unless `dry_run` is false."""
    operation = Operation("retry_failed", what.arguments() | {"reset_attempts": what.reset_attempts})
    return done(application, operation, actor, what)


@router.post("/{job_id}/retry", responses=problems(404, 409))
def retry_job(application: AppPart, actor: Actor, job_id: JobId, how: RetryOne | None = None) -> Done:
    """Put one failed job back into the queue."""
    reset = how.reset_attempts if how else False
    operation = Operation("retry_failed", {"job_ids": [str(job_id)], "reset_attempts": reset})
    return done(application, operation, actor, Filters(dry_run=False))


@router.post("/{job_id}/cancel", responses=problems(404, 409))
def cancel_job(application: AppPart, actor: Actor, job_id: JobId) -> Cancelled:
    """Cancel a queued job at once; ask a running one to stop, where success still wins."""
    return application.queue.cancel(job_id, actor=actor)


def look(application: Application, job_id: UUID) -> tuple[WholeJob, str | None]:
    """Return a whole job and why it is where it is.

    Raises:
        JobNotFound: There is none.
    """
    return whole(application, job_id), reason(application, job_id)


def whole(application: Application, job_id: UUID) -> WholeJob:
    """Return a whole job, however large it is.

    Raises:
        JobNotFound: There is none.
    """
    found = application.queue.get_jobs([job_id])
    if not found:
        raise no_such_job(job_id)
    return found[0]


def _file(document: Json, name: str) -> Response:
    return JSONResponse(storable_json(document)[0], headers={"content-disposition": f'attachment; filename="{name}"'})


def _attempts(job: WholeJob) -> list[AttemptRow]:
    return [AttemptRow.model_validate(attempt, from_attributes=True) for attempt in attempts_of(job)]
