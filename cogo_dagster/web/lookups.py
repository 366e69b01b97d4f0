"""Reads that the API and the dashboard share."""

from datetime import UTC, datetime
from uuid import UUID

from starlette.requests import Request

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.explanation import why
from cogo_dagster.quality.records import GateRun, ProviderHealth
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.web.dependencies import web_of


def no_such_job(job_id: UUID) -> JobNotFound:
    """Say that there is no such job."""
    return JobNotFound(f"There is no job {job_id}: it was purged, or the id has a slip.")


def reason(application: Application, job_id: UUID) -> str | None:
    """Return why a job is where it is, in words."""
    reasons = [why(fact, datetime.now(UTC)) for fact in application.queue.explain([job_id])]
    return reasons[0] if reasons else None


def with_addresses(request: Request, run: GateRun) -> GateRun:
    """Return a gate run whose addresses lead back to where it was asked for, also while METRICS_BASE is unset."""
    base = (web_of(request).settings.metrics_base or str(request.base_url)).rstrip("/")
    return run.with_urls(lambda artifact_id: f"{base}/api/artifacts/{artifact_id}/content")


def providers(application: Application) -> list[ProviderHealth]:
    """Return the last probe of each provider, those that fail first."""
    return [ProviderHealth.model_validate(row.document) for row in application.health.providers()]
