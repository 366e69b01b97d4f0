"""Liveness, readiness, and metrics for Prometheus."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.queue.stats import History, Numbers, QueueReasons, StatusCounts
from cogo_dagster.settings import SettingsError
from cogo_dagster.web.backend import PROBE_TIMEOUT_SECONDS, Backend
from cogo_dagster.web.dependencies import (
    WebDep,
    allow_anonymous,
    may_read,
    probed,
    require_reader,
    require_scraper,
    web_of,
)
from cogo_dagster.web.problems import problems
from cogo_dagster.web.prometheus import QueueCollector

router = APIRouter(tags=["health and metrics"])

_READERS: Final = [Depends(require_reader)]
_RETRY_AFTER: Final = {"retry-after": "5"}


class Health(BaseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The database responds and its schema release is supported. Details only with read access."""

    status: Literal["ok"] = "ok"
    release: int | None = None
    deployment_id: str | None = None
    held_snapshot: str | None = Field(
        None,
        description="What holds back vacuum for over a minute, and the remedy; it does not affect readiness.",
    )
    unreachable_targets: list[str] | None = Field(None, description="Alert targets; they do not affect readiness.")


@router.get("/healthz", dependencies=[Depends(allow_anonymous)])
async def healthz() -> Health:  # not in a thread: all threads may wait for the database
    """Liveness: responds without using the database."""
    return Health()


@router.get("/readyz", dependencies=[Depends(allow_anonymous)], responses=problems(), response_model_exclude_none=True)
async def readyz(request: Request) -> Readiness:
    """Readiness: whether the database responds and its schema is supported. With a token, also details."""
    return await probed(lambda: _readiness(request))


@router.get(
    "/metrics",
    dependencies=[Depends(require_scraper)],
    response_class=Response,
    responses={
        200: {"description": "Prometheus text format.", "content": {"text/plain": {}}},
        **problems(401, 403, 429),
    },
)
async def metrics(request: Request, accept: Annotated[str, Header()] = "") -> Response:
    """Metrics in Prometheus text format or OpenMetrics, read from the database at each scrape."""
    return await probed(lambda: _metrics(web_of(request).backend, accept))


def _readiness(request: Request) -> Readiness:
    backend = web_of(request).backend
    with call_limit(PROBE_TIMEOUT_SECONDS):
        known = may_read(request)
        try:
            application = backend.application
            version, targets = application.queue.schema_version(), application.alerts.target_health().targets
            held = application.queue.held_snapshot() if known else None
        except (QueueError, SettingsError) as error:
            if known:
                raise
            if isinstance(error, DatabaseUnavailable):
                backend.failed(error)
            raise HTTPException(503, "This server is not ready.", _RETRY_AFTER) from None
    if not known:
        return Readiness()
    return Readiness(
        release=version.release,
        deployment_id=str(version.deployment_id),
        held_snapshot=f"{held.message} {held.remedy}" if held else None,
        unreachable_targets=[target.target for target in targets if not target.healthy],
    )


def _metrics(backend: Backend, accept: str) -> Response:
    backend.probe()
    registry = CollectorRegistry()
    registry.register(QueueCollector(backend))
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=content_type)


@router.get("/api/metrics/queue", dependencies=_READERS, responses=problems(401, 403, 429), tags=["health and metrics"])
def queue_numbers(web: WebDep) -> Numbers:
    """The numbers at the top of the dashboard."""
    return web.backend.numbers()


@router.get("/api/metrics/queue/reasons", dependencies=_READERS, responses=problems(401, 403, 429))
def queue_reasons(web: WebDep) -> QueueReasons:
    """Why the queued jobs wait, by family, executor ID and cause; stranded jobs first."""
    return web.backend.reasons()


@router.get("/api/metrics/jobs/counts", dependencies=_READERS, responses=problems(401, 403, 429))
def job_counts(web: WebDep) -> StatusCounts:
    """Number of jobs by status; an estimate above 10,000."""
    return web.backend.counts()


@router.get("/api/metrics/jobs/history", dependencies=_READERS, responses=problems(401, 403, 429))
def job_history(web: WebDep) -> History:
    """Jobs that finished in the last 24 hours, by hour, family and error."""
    return web.backend.history(24)
