"""Page of the workers by name, their lost leases, and pauses."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.web.dependencies import ApplicationDep, note_numbers, require_reader, web_of
from cogo_dagster.web.worker_groups import worker_groups

router = APIRouter(
    prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader), Depends(note_numbers)]
)

MAX_STARTS: Final = 200
MAX_ALIVE: Final = 1_000
MAX_LOSSES: Final = 100


@router.get("/workers")
def workers(
    request: Request,
    application: ApplicationDep,
    name: Annotated[str | None, Query(max_length=200)] = None,
    *,
    alive: bool = False,
) -> Response:
    """Workers by name, all, those that are alive or one; with the leases that they lost in the last 24 hours."""
    starts = application.queue.list_workers(alive_only=True, max_workers=MAX_ALIVE)
    if not alive:
        starts += application.queue.list_workers(max_workers=MAX_ALIVE if name else MAX_STARTS)
    lost = application.queue.lease_losses(worker_id=name, max_losses=MAX_LOSSES if name else 0)
    groups = worker_groups(starts, [] if alive else lost.workers)
    return web_of(request).pages.page(
        request,
        "workers.html",
        title=name or "Workers",
        groups=[group for group in groups if name is None or group.name == name],
        name=name,
        losses=lost.losses,
        paused=application.queue.list_paused(),
        alive=alive,
        pausable=sorted({name for start in starts for name in (*start.families, start.executor_id) if name}),
        max_starts=MAX_STARTS,
    )
