"""Server-sent events after which a page reloads."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from cogo_dagster.queue.errors import QueueError
from cogo_dagster.settings import SettingsError
from cogo_dagster.web.dependencies import Web, WebDep, has_lost_access, require_reader
from cogo_dagster.web.marks import mark_of

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])

POLL_SECONDS: Final = 2.0

_MARK_CHARS: Final = 1_000
"""Characters of a payload and a result in the hash; their lengths are in it, too."""

_POLLS_PER_CHECK: Final = 5
"""Polls between two checks that the session is still valid."""


@router.get("/live")
async def live(request: Request, web: WebDep, job: UUID | None = None) -> EventSourceResponse:
    """Stream a `change` event with a hash whenever the data of pages has changed; `unavailable` on database errors."""
    return EventSourceResponse(_changes(request, web, job), ping=15, headers={"x-accel-buffering": "no"})


async def _changes(request: Request, web: Web, job: UUID | None) -> AsyncIterator[ServerSentEvent]:
    before = None
    for polls in count():
        if await request.is_disconnected():
            return
        if polls and polls % _POLLS_PER_CHECK == 0 and await run_in_threadpool(has_lost_access, request):
            return
        try:
            event, mark = "change", await run_in_threadpool(_mark, web, job)
        except (QueueError, SettingsError):
            event, mark = "unavailable", "The database cannot be reached."
        if (event, mark) != before:
            before = (event, mark)
            yield ServerSentEvent(event=event, data=mark)
        await asyncio.sleep(POLL_SECONDS)


def _mark(web: Web, job_id: UUID | None) -> str:
    """Return the mark of a page.

    Raises:
        QueueError: The database cannot be reached.
    """
    numbers = web.backend.numbers()
    if job_id is None:
        return mark_of(numbers)
    return mark_of(numbers, web.backend.application.queue.get_truncated_job(job_id, _MARK_CHARS))
