"""Reads shared by the API and the dashboard."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from starlette.requests import Request

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.explanation import short_reason, why
from cogo_dagster.quality.records import GateRun, ProviderHealth
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.rows.jobs import JobRow, WholeJob
from cogo_dagster.web.dependencies import web_of


def no_such_job(job_id: UUID) -> JobNotFound:
    """Return the error for an unknown job."""
    return JobNotFound(f"Job {job_id} not found. It may have been purged; check the ID.")


def find_job(application: Application, job_id: UUID) -> WholeJob:
    """Return a job with its whole payload and result.

    Raises:
        JobNotFound: There is no such job.
    """
    jobs = application.queue.get_jobs([job_id])
    if not jobs:
        raise no_such_job(job_id)
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


def with_addresses(request: Request, run: GateRun) -> GateRun:
    """Return a gate run with absolute report URLs, based on METRICS_BASE or else on the request."""
    base = (web_of(request).settings.metrics_base or str(request.base_url)).rstrip("/")
    return run.with_urls(lambda artifact_id: f"{base}/api/artifacts/{artifact_id}/content")


def providers(application: Application) -> list[ProviderHealth]:
    """Return the last probe of each provider, failing ones first."""
    return [ProviderHealth.model_validate(row.document) for row in application.health.providers()]
