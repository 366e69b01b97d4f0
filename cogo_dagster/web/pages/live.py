"""Live pages: the server says that something changed, the page asks for itself again."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from cogo_dagster.queue.errors import QueueError
from cogo_dagster.settings import SettingsError
from cogo_dagster.web.dependencies import Web, WebPart, has_lost_access, require_reader

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])

GLANCE_SECONDS: Final = 2.0

_MARK_CHARS: Final = 1_000
"""Of a payload and a result, whose length tells as well."""

_GLANCES_PER_CHECK: Final = 5
"""So often somebody is asked for again whose session may have ended meanwhile."""

_AGES: Final = {"oldest_ready_seconds"}
"""What changes although nothing happens."""


@router.get("/live")
async def live(request: Request, web: WebPart, job: UUID | None = None) -> EventSourceResponse:
    """Send a `change` with a mark each time what pages show has changed, and a `trouble` when nobody knows."""
    return EventSourceResponse(_changes(request, web, job), ping=15, headers={"x-accel-buffering": "no"})


async def _changes(request: Request, web: Web, job: UUID | None) -> AsyncIterator[ServerSentEvent]:
    before = None
    for glance in count():
        if await request.is_disconnected():
            return
        if glance and glance % _GLANCES_PER_CHECK == 0 and await run_in_threadpool(has_lost_access, request):
            return
        try:
            event, mark = "change", await run_in_threadpool(mark_of, web, job)
        except (QueueError, SettingsError):
            event, mark = "trouble", "The database cannot be reached."
        if (event, mark) != before:
            before = (event, mark)
            yield ServerSentEvent(event=event, data=mark)
        await asyncio.sleep(GLANCE_SECONDS)


def mark_of(web: Web, job: UUID | None) -> str:
    """Return a short text that differs once something changed.

    Raises:
        QueueError: The database cannot be asked.
    """
    seen = web.backend.numbers().model_dump(exclude=_AGES)
    if job is not None:
        look = web.backend.application.queue.get_truncated_job(job, _MARK_CHARS)
        seen["job"] = look and look.document
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
