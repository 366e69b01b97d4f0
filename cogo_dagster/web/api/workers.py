"""Workers, pauses, and the operations log."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.bulk import Operation
from cogo_dagster.web.api.bulk import Filters, done
from cogo_dagster.web.api.schemas import NO_NULL, Done, OperationPage, Paused, WorkerPage
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.lookups import part_of
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api", tags=["workers and operations"], responses=problems(401, 403, 422, 429))


class PausableType(BaseModel):
    """A job type, including the types below it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["type"]
    name: str = Field(max_length=200, pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$")
    reason: str | None = Field(None, max_length=500, pattern=NO_NULL, description="Shown while the type is paused.")


class PausableExecutor(BaseModel):
    """An executor ID."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["executor"]
    name: str = Field(min_length=1, max_length=200, pattern=NO_NULL)
    reason: str | None = Field(None, max_length=500, pattern=NO_NULL, description="Shown while the executor is paused.")


Pausable = Annotated[PausableType | PausableExecutor, Field(discriminator="kind")]


@router.get("/workers", dependencies=[Depends(require_reader)], responses=problems(404))
def list_workers(
    application: ApplicationDep,
    *,
    alive_only: bool = False,
    before: Before = None,
    limit: PageSize = 50,
) -> WorkerPage:
    """Workers, last started first, with their devices."""
    rows = application.queue.list_workers(
        alive_only=alive_only, before=read_cursor(before, "started_at", "instance_id"), max_workers=limit
    )
    return WorkerPage(workers=rows, next=next_cursor(rows, limit, "started_at", "instance_id"))


@router.get("/operations", dependencies=[Depends(require_reader)], responses=problems(404))
def list_operations(
    application: ApplicationDep,
    *,
    operation: Annotated[str | None, Query(max_length=100, pattern=NO_NULL)] = None,
    before: Before = None,
    limit: PageSize = 50,
) -> OperationPage:
    """Operations, newest first: actor, operation, filter and number of rows changed."""
    rows = application.queue.list_operations(
        operation=operation, before=read_cursor(before, "created_at", "id"), max_operations=limit
    )
    return OperationPage(operations=rows, next=next_cursor(rows, limit, "created_at", "id"))


@router.post("/operations/{operation_id}/undo", responses=problems(404))
def undo(
    application: ApplicationDep,
    actor: Actor,
    operation_id: Annotated[
        UUID,
        part_of(
            "operation",
            "operation_id",
            "ID of a discard in the operations log, or 8 or more of its first or last digits.",
        ),
    ],
) -> Done:
    """Open the dead-lettered jobs of a discard again, except those that were retried since."""
    operation = Operation("undo_discard", {"discard_id": str(operation_id)})
    return done(application, operation, actor, Filters(dry_run=False))


@router.post("/pause")
def pause(application: ApplicationDep, actor: Actor, what: Pausable) -> Paused:
    """Pause a type or an executor: its jobs are not claimed until it is resumed. Running jobs continue."""
    change = application.pause(what.kind, what.name, reason=what.reason, actor=actor)
    return Paused(kind=change.kind, name=change.name, changed=change.changed, known=change.known)


@router.post("/resume")
def resume(application: ApplicationDep, actor: Actor, what: Pausable) -> Paused:
    """End a pause."""
    change = application.queue.resume(what.kind, what.name, actor=actor)
    return Paused(kind=what.kind, name=what.name, changed=change.changed)
