"""Whether the server lives, whether it can serve, and its numbers for Prometheus."""

from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, Field

from cogo_dagster.insights.model import History, Numbers, StatusCounts
from cogo_dagster.queue.limits import call_limit
from cogo_dagster.web.backend import PATIENCE_SECONDS, Backend
from cogo_dagster.web.errors import problems
from cogo_dagster.web.parts import WebPart, web_of
from cogo_dagster.web.prometheus import QueueCollector

router = APIRouter(tags=["health and metrics"])

T = TypeVar("T")

_PROBES: Final = CapacityLimiter(8)


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The database answers, at this release."""

    status: Literal["ok"] = "ok"
    release: int
    deployment_id: str
    unreachable_targets: list[str] = Field(description="Of alerts; the server is ready all the same.")


@router.get("/healthz")
async def healthz() -> Health:  # not in a thread: those may all wait for the database
    """Whether this process answers; asks nothing else."""
    return Health()


@router.get("/readyz", responses=problems())
async def readyz(request: Request) -> Readiness:
    """Whether the database answers, at a release this code can use."""
    return await _probed(lambda: _readiness(web_of(request).backend))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}, **problems()},
)
async def metrics(request: Request, accept: Annotated[str, Header()] = "") -> Response:
    """The queue in numbers, read from the database now, as Prometheus' text format or OpenMetrics."""
    return await _probed(lambda: _metrics(web_of(request).backend, accept))


async def _probed(probe: Callable[[], T]) -> T:
    """Answer a probe in threads that no page may take: those may all wait for the database."""
    return await to_thread.run_sync(probe, limiter=_PROBES)


def _readiness(backend: Backend) -> Readiness:
    application = backend.application
    with call_limit(PATIENCE_SECONDS):
        unreachable = [one["target"] for one in application.alerts.target_health()["targets"] if not one["healthy"]]
        return Readiness(**application.queue.schema_version(), unreachable_targets=unreachable)


def _metrics(backend: Backend, accept: str) -> Response:
    backend.look()
    registry = CollectorRegistry()
    registry.register(QueueCollector(backend))
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=content_type)


@router.get("/api/metrics/queue", responses=problems(), tags=["health and metrics"])
def queue_numbers(web: WebPart) -> Numbers:
    """The numbers of the dashboard's strip."""
    return web.backend.numbers()


@router.get("/api/metrics/jobs/counts", responses=problems())
def job_counts(web: WebPart) -> StatusCounts:
    """How many jobs there are of each status; beyond 10,000 an estimate."""
    return web.backend.counts()


@router.get("/api/metrics/jobs/history", responses=problems())
def job_history(web: WebPart) -> History:
    """What ended in the last 24 hours, by the hour, by family and by error."""
    return web.backend.history(24)
