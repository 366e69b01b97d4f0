"""Jobs and their attempts: list, read, retry, cancel."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.responses import JSONResponse, Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.timeline import attempts_of
from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import WholeJob
from cogo_dagster.queue.search.grammar import MAX_CHARS, JobSearch
from cogo_dagster.release import code_version
from cogo_dagster.text import storable_json
from cogo_dagster.web.actions import enqueue, validated
from cogo_dagster.web.api.artifacts import artifact_document
from cogo_dagster.web.api.bulk import Filters, done
from cogo_dagster.web.api.schemas import NO_NULL, AttemptRow, Cancelled, Done, EnqueuedJob, JobDetail, JobPage, Status
from cogo_dagster.web.cursors import PageSize
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.job_requests import JobRequest
from cogo_dagster.web.lookups import find_job, part_of, reason
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/jobs", tags=["jobs"], responses=problems(401, 403, 422, 429))

Text = Annotated[str | None, Query(max_length=200, pattern=NO_NULL)]
Seconds = Annotated[float | None, Query(ge=0, le=315_360_000)]
Condition = Literal["due", "scheduled", "paused", "unaddressed", "dead-lettered", "discarded", "lease-expired"]
JobId = Annotated[UUID, part_of("job", "job_id", "Job ID, or 8 or more of its first or last digits.")]


class Retry(Filters):
    """Which failed jobs to retry, and how."""

    reset_attempts: StrictBool = Field(
        False, description="Reset the number of attempts to 0, instead of allowing one more."
    )


class RetryOne(BaseModel):
    """How to retry a failed job."""

    model_config = ConfigDict(extra="forbid")

    reset_attempts: StrictBool = Field(
        False, description="Reset the number of attempts to 0, instead of allowing one more."
    )


@router.get("", dependencies=[Depends(require_reader)], responses=problems(404))
def list_jobs(
    application: ApplicationDep,
    *,
    status: Annotated[list[Status] | None, Query(max_length=5, description="Only these statuses.")] = None,
    type: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Type prefix.")] = None,
    executor: Text = None,
    worker: Text = None,
    device: Text = None,
    error: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Class of the last error.")] = None,
    q: Annotated[
        str | None,
        Query(max_length=200, pattern=NO_NULL, description="Text in the ID, idempotency key, error or payload."),
    ] = None,
    since_seconds: Seconds = None,
    family: Text = None,
    finished_seconds: Annotated[Seconds, Query(description="Finished within the last N seconds.")] = None,
    lost_seconds: Annotated[Seconds, Query(description="An attempt lost its lease within the last N seconds.")] = None,
    condition: Annotated[list[Condition] | None, Query(max_length=4, description="All of these must hold.")] = None,
    where: Annotated[
        str | None,
        Query(max_length=MAX_CHARS, pattern=NO_NULL, description="Filter language; see the manual. All must hold."),
    ] = None,
    before: Annotated[UUID | None, Query(description="`next` of the previous page.")] = None,
    limit: PageSize = 50,
) -> JobPage:
    """Jobs, newest first. A search reads at most 10,000 jobs a page; `looked_until` is set if it stopped there."""
    search = JobSearch.parse_strictly(where or "").and_also(
        type=type, executor=executor, worker=worker, host=device, error=error, family=family
    )
    filters = search.filter(code_version())
    for name, value in (
        ("statuses", status),
        ("words", q),
        ("conditions", condition),
        ("created", _within(since_seconds)),
        ("finished", _within(finished_seconds)),
        ("lost", _within(lost_seconds)),
    ):
        if value:
            filters[name] = value
    page = application.queue.query_jobs(filters, before_id=before, max_jobs=limit)
    return JobPage(jobs=page.jobs, next=page.before_id, looked_until=page.looked_until)


@router.post("", responses=problems(409))
def enqueue_job(application: ApplicationDep, actor: Actor, what: JobRequest) -> EnqueuedJob:
    """Enqueue a job. The executor of its type validates the payload; 422 says what to correct."""
    if what.dry_run:
        validated(application, what.job)
        return EnqueuedJob(job_id=None, created=False)
    enqueued = enqueue(application, what.job, actor)
    return EnqueuedJob(job_id=enqueued.job_id, created=enqueued.created)


@router.get("/{job_id}", dependencies=[Depends(require_reader)], responses=problems(404))
def get_job(application: ApplicationDep, job_id: JobId) -> JobDetail:
    """A job with its payload, attempts and artifacts, and the reason for its state."""
    job, why = job_and_reason(application, job_id)
    details = {
        "why": why,
        "attempt_list": _attempts(job),
        "artifacts": [artifact_document(row) for row in job.artifacts],
    }
    return JobDetail.model_validate({**job.document, **details})


@router.get("/{job_id}/attempts", dependencies=[Depends(require_reader)], responses=problems(404))
def get_attempts(application: ApplicationDep, job_id: JobId) -> list[AttemptRow]:
    """Every attempt of a job, oldest first."""
    return _attempts(job_and_reason(application, job_id)[0])


_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The JSON document.", "content": {"application/json": {}}},
    **problems(404),
}


@router.get("/{job_id}/payload", dependencies=[Depends(require_reader)], response_class=Response, responses=_FILE)
def get_payload(application: ApplicationDep, job_id: JobId) -> Response:
    """The whole payload of a job as a file."""
    return _file(find_job(application, job_id).payload, f"payload-{job_id}.json")


@router.get("/{job_id}/result", dependencies=[Depends(require_reader)], response_class=Response, responses=_FILE)
def get_result(application: ApplicationDep, job_id: JobId) -> Response:
    """The result of a job as a file; null without a result."""
    return _file(find_job(application, job_id).result, f"result-{job_id}.json")


@router.post("/retry", responses=problems(404, 409))
def retry_failed(application: ApplicationDep, actor: Actor, what: Retry) -> Done:
    """Retry failed jobs under the same IDs. A dry run unless `dry_run` is false."""
    operation = Operation("retry_failed", what.arguments() | {"reset_attempts": what.reset_attempts})
    return done(application, operation, actor, what)


@router.post("/{job_id}/retry", responses=problems(404, 409))
def retry_job(application: ApplicationDep, actor: Actor, job_id: JobId, how: RetryOne | None = None) -> Done:
    """Retry one failed job."""
    reset = how.reset_attempts if how else False
    operation = Operation("retry_failed", {"job_ids": [str(job_id)], "reset_attempts": reset})
    return done(application, operation, actor, Filters(dry_run=False))


@router.post("/{job_id}/cancel", responses=problems(404, 409))
def cancel_job(application: ApplicationDep, actor: Actor, job_id: JobId) -> Cancelled:
    """Cancel a queued job, or request cancellation of a running one, which may still succeed."""
    return application.queue.cancel(job_id, actor=actor)


def _within(seconds: float | None) -> Json:
    return None if seconds is None else {"from": seconds}


def job_and_reason(application: Application, job_id: UUID) -> tuple[WholeJob, str | None]:
    """Return a whole job and the reason for its state.

    Raises:
        JobNotFound: There is no such job.
    """
    return find_job(application, job_id), reason(application, job_id)


def _file(document: Json, name: str) -> Response:
    return JSONResponse(storable_json(document)[0], headers={"content-disposition": f'attachment; filename="{name}"'})


def _attempts(job: WholeJob) -> list[AttemptRow]:
    return [AttemptRow.model_validate(attempt, from_attributes=True) for attempt in attempts_of(job)]
