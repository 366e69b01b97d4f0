"""Workers, what is paused, and what operators did."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.web.api.schemas import NO_NULL, OperationPage, Paused, WorkerPage
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, AppPart, require_reader
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api", tags=["workers and operations"], responses=problems(401, 403, 422, 429))


class PausableType(BaseModel):
    """A type, with all below it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["type"]
    name: str = Field(max_length=200, pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$")
    reason: str | None = Field(None, max_length=500, pattern=NO_NULL, description="For whoever finds it paused.")


class PausableExecutor(BaseModel):
    """An executor id."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["executor"]
    name: str = Field(min_length=1, max_length=200, pattern=NO_NULL)
    reason: str | None = Field(None, max_length=500, pattern=NO_NULL, description="For whoever finds it paused.")


Pausable = Annotated[PausableType | PausableExecutor, Field(discriminator="kind")]


@router.get("/workers", dependencies=[Depends(require_reader)], responses=problems(404))
def list_workers(
    application: AppPart,
    *,
    alive_only: bool = False,
    before: Before = None,
    limit: PageSize = 50,
) -> WorkerPage:
    """Worker starts, newest first, with their device."""
    rows = application.queue.list_workers(
        alive_only=alive_only, before=read_cursor(before, "started_at", "instance_id"), max_workers=limit
    )
    return WorkerPage(workers=rows, next=next_cursor(rows, limit, "started_at", "instance_id"))


@router.get("/operations", dependencies=[Depends(require_reader)], responses=problems(404))
def list_operations(
    application: AppPart,
    *,
    operation: Annotated[str | None, Query(max_length=100, pattern=NO_NULL)] = None,
    before: Before = None,
    limit: PageSize = 50,
) -> OperationPage:
    """What operators did, newest first: who, what, to what, and how many rows changed."""
    rows = application.queue.list_operations(
        operation=operation, before=read_cursor(before, "created_at", "id"), max_operations=limit
    )
    return OperationPage(operations=rows, next=next_cursor(rows, limit, "created_at", "id"))


@router.post("/pause")
def pause(application: AppPart, actor: Actor, what: Pausable) -> Paused:
    """Claim no more of a type, or let an executor claim nothing; what runs goes on."""
    change = application.queue.pause(what.kind, what.name, reason=what.reason, actor=actor)
    return Paused(kind=change.kind, name=change.name, changed=change.changed)


@router.post("/resume")
def resume(application: AppPart, actor: Actor, what: Pausable) -> Paused:
    """End a pause."""
    answer = application.queue.resume(what.kind, what.name, actor=actor)
    return Paused(kind=what.kind, name=what.name, changed=answer.changed)
