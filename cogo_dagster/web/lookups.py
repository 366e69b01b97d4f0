"""Reads shared by the API and the dashboard."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Path
from starlette.requests import Request

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.explanation import short_reason, why
from cogo_dagster.quality.records import GateRun, ProviderHealth
from cogo_dagster.queue.bulk_actions import preview_dead_letters
from cogo_dagster.queue.client.ids import IdKind
from cogo_dagster.queue.errors import InvalidArgument, InvalidTransition, JobNotFound
from cogo_dagster.queue.rows.jobs import JobRow, WholeJob
from cogo_dagster.web.dependencies import ApplicationDep, web_of

ID_PATTERN: Final = r"^(?:[0-9a-fA-F]{8,32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"

_PAGES: Final[Mapping[IdKind, str]] = {
    "run": "/dashboard/jobs?q=run:{}",
    "worker": "/dashboard/jobs?q=worker:{}",
    "action": "/dashboard/actions/{}",
    "gate_run": "/dashboard/gate/{}",
    "artifact": "/api/artifacts/{}",
    "alert": "/dashboard/alerts#alert-{}",
    "operation": "/dashboard/log#operation-{}",
}


def part_of(kind: IdKind, name: str, meaning: str) -> Any:
    """Return a parameter of a route: an ID in its path, or 8 or more of its first or last digits.

    Args:
        name: Name of the parameter in the path.
    """

    def found_id(
        application: ApplicationDep,
        given: Annotated[str, Path(alias=name, pattern=ID_PATTERN, description=meaning)],
    ) -> UUID:
        return application.queue.find_id(given) if kind == "job" else application.queue.find_any(kind, given)

    return Depends(found_id)


def page_of_id(application: Application, typed: str) -> str | None:
    """Return the page of what an ID, or 8 or more of its first or last digits, belongs to; None for other text."""
    if not re.fullmatch(ID_PATTERN, typed):
        return None
    with contextlib.suppress(InvalidArgument, JobNotFound):
        job_id = application.queue.find_id(typed)
        if application.queue.get_jobs([job_id]):
            return f"/dashboard/jobs/{job_id}"
    for kind, address in _PAGES.items():
        with contextlib.suppress(InvalidArgument, JobNotFound):
            found = application.queue.find_any(kind, typed.replace("-", ""))
            return address.format(found)
    return None


def no_such_job(application: Application, job_id: UUID) -> JobNotFound:
    """Return the error for an unknown job; it says so if the job was purged and is still dead-lettered."""
    with contextlib.suppress(JobNotFound, InvalidTransition):
        preview_dead_letters(application.queue, "discard", job_id=job_id)
        return JobNotFound(
            f"Job {job_id} was purged and is still dead-lettered: use `cogo replay dlq {job_id}` or `cogo discard dlq`."
        )
    return JobNotFound(f"Job {job_id} not found. It may have been purged; check the ID.")


def find_job(application: Application, job_id: UUID) -> WholeJob:
    """Return a job with its whole payload and result.

    Raises:
        JobNotFound: There is no such job.
    """
    jobs = application.queue.get_jobs([job_id])
    if not jobs:
        raise no_such_job(application, job_id)
    return jobs[0]


def reason(application: Application, job_id: UUID) -> str | None:
    """Return the reason for a job's state."""
    reasons = [why(fact, datetime.now(UTC)) for fact in application.queue.explain([job_id])]
    return reasons[0] if reasons else None


def wait_reasons(application: Application, jobs: Sequence[JobRow]) -> dict[UUID, str]:
    """Return why each queued job waits, in a few words."""
    queued = [job.id for job in jobs if job.status == "queued"]
    facts = application.queue.explain(queued, count_ahead=False) if queued else []
    return {fact.job_id: short_reason(fact, datetime.now(UTC)) for fact in facts}


def base_url(request: Request) -> str:
    """Return the URL of this server: METRICS_BASE, else that of the request."""
    return web_of(request).settings.metrics_base or str(request.base_url)


def with_addresses(request: Request, run: GateRun) -> GateRun:
    """Return a gate run with absolute report URLs, based on METRICS_BASE or else on the request."""
    base = base_url(request).rstrip("/")
    return run.with_urls(lambda artifact_id: f"{base}/api/artifacts/{artifact_id}/content")


def providers(application: Application) -> list[ProviderHealth]:
    """Return the last probe of each provider, failing ones first."""
    return [ProviderHealth.model_validate(row.document) for row in application.health.providers()]
