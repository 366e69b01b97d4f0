"""Whether the server lives, whether it can serve, and its numbers for Prometheus."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.queue.stats import History, Numbers, StatusCounts
from cogo_dagster.settings import SettingsError
from cogo_dagster.web.backend import PATIENCE_SECONDS, Backend
from cogo_dagster.web.dependencies import WebPart, anybody, may_read, probed, require_reader, require_scraper, web_of
from cogo_dagster.web.problems import problems
from cogo_dagster.web.prometheus import QueueCollector

router = APIRouter(tags=["health and metrics"])

_READERS: Final = [Depends(require_reader)]
_REST: Final = {"retry-after": "5"}


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The database answers, at this release; whoever may not read learns that only."""

    status: Literal["ok"] = "ok"
    release: int | None = None
    deployment_id: str | None = None
    unreachable_targets: list[str] | None = Field(None, description="Of alerts; the server is ready all the same.")


@router.get("/healthz", dependencies=[Depends(anybody)])
async def healthz() -> Health:  # not in a thread: those may all wait for the database
    """Whether this process answers; asks nothing else."""
    return Health()


@router.get("/readyz", dependencies=[Depends(anybody)], responses=problems(), response_model_exclude_none=True)
async def readyz(request: Request) -> Readiness:
    """Whether the database answers, at a release this code can use; with a token, which one, and what is unwell."""
    return await probed(lambda: _readiness(request))


@router.get(
    "/metrics",
    dependencies=[Depends(require_scraper)],
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **problems(401, 403, 429),
    },
)
async def metrics(request: Request, accept: Annotated[str, Header()] = "") -> Response:
    """The queue in numbers, read from the database now, as Prometheus' text format or OpenMetrics."""
    return await probed(lambda: _metrics(web_of(request).backend, accept))


def _readiness(request: Request) -> Readiness:
    backend = web_of(request).backend
    with call_limit(PATIENCE_SECONDS):
        known = may_read(request)
        try:
            application = backend.application
            version, targets = application.queue.schema_version(), application.alerts.target_health().targets
        except (QueueError, SettingsError) as error:
            if known:
                raise
            if isinstance(error, DatabaseUnavailable):
                backend.failed(error)
            raise HTTPException(503, "This server is not ready.", _REST) from None
    if not known:
        return Readiness()
    return Readiness(
        release=version.release,
        deployment_id=str(version.deployment_id),
        unreachable_targets=[one.target for one in targets if not one.healthy],
    )


def _metrics(backend: Backend, accept: str) -> Response:
    backend.look()
    registry = CollectorRegistry()
    registry.register(QueueCollector(backend))
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=content_type)


@router.get("/api/metrics/queue", dependencies=_READERS, responses=problems(401, 403, 429), tags=["health and metrics"])
def queue_numbers(web: WebPart) -> Numbers:
    """The numbers of the dashboard's strip."""
    return web.backend.numbers()


@router.get("/api/metrics/jobs/counts", dependencies=_READERS, responses=problems(401, 403, 429))
def job_counts(web: WebPart) -> StatusCounts:
    """How many jobs there are of each status; beyond 10,000 an estimate."""
    return web.backend.counts()


@router.get("/api/metrics/jobs/history", dependencies=_READERS, responses=problems(401, 403, 429))
def job_history(web: WebPart) -> History:
    """What ended in the last 24 hours, by the hour, by family and by error."""
    return web.backend.history(24)
