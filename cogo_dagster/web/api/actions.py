"""Bulk actions on the jobs of a search: preview, run, list."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.bulk_actions import plan, preview, run
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.bulk_actions import ActionName, BulkAction
from cogo_dagster.queue.search.grammar import MAX_CHARS, JobSearch
from cogo_dagster.queue.tolerant import Document
from cogo_dagster.web.actions import MAX_ROWS
from cogo_dagster.web.api.bulk import checked_number
from cogo_dagster.web.api.schemas import NO_NULL
from cogo_dagster.web.cursors import PageSize
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.lookups import ID_PATTERN
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/actions", tags=["bulk actions"], responses=problems(401, 403, 422, 429))

_SHOWN = 100

Part = Annotated[
    str,
    Path(pattern=ID_PATTERN, description="ID of the action, or 8 or more of its first or last digits."),
]


class NewAction(BaseModel):
    """What to do to which jobs."""

    model_config = ConfigDict(extra="forbid")

    operation: ActionName
    where: str = Field(max_length=MAX_CHARS, pattern=NO_NULL, description="Filter language, such as error:timeout.")
    name: str = Field("", max_length=200, pattern=NO_NULL, description="Name for the log.")
    reason: str | None = Field(None, min_length=1, max_length=500, pattern=NO_NULL, description="Of a discard.")
    reset_attempts: StrictBool = Field(False, description="Of a retry: count attempts from zero again.")
    limit: Annotated[int, BeforeValidator(checked_number)] = Field(
        MAX_ROWS, ge=1, le=MAX_ROWS, description="Maximum number of jobs to change."
    )
    dry_run: StrictBool = Field(True, description="Report what would change, without changing it.")
    request_id: UUID | None = Field(
        None, description="A new UUID: a repeated request with it continues the same action, with the same jobs."
    )

    @property
    def arguments(self) -> dict[str, Json]:
        """What the operation takes.

        Raises:
            InvalidArgument: A discard has no reason.
        """
        if self.operation == "retry":
            return {"reset_attempts": self.reset_attempts}
        if self.operation == "discard":
            if not (self.reason or "").strip() and not self.dry_run:
                raise InvalidArgument("A discard needs a reason: send `reason`.")
            return {"reason": self.reason}
        return {}


class Continue(BaseModel):
    """How far to run an action."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, BeforeValidator(checked_number)] = Field(
        MAX_ROWS, ge=1, le=MAX_ROWS, description="Maximum number of jobs to change now; 1 tries one first."
    )


class Previewed(BaseModel):
    """What an action would do, and the action unless it was a dry run."""

    operation: ActionName
    where: str = Field(description="The search as it was understood.")
    dry_run: bool
    summary: Document = Field(
        description="Numbers of jobs that were found, that are eligible, and that are not, by reason; eligible ones by "
        "type, error class, cause, host and release; what became of earlier replays of each cause."
    )
    job_ids: list[UUID] = Field(description="The first 100 eligible jobs.")
    action: BulkAction | None


class Actions(BaseModel):
    """Bulk actions."""

    actions: list[BulkAction]


@router.post("", responses=problems(404, 409))
def act(application: ApplicationDep, actor: Actor, what: NewAction) -> Previewed:
    """Retry, replay, discard or cancel the jobs of a search. A dry run unless `dry_run` is false."""
    search = JobSearch.parse_strictly(what.where)
    arguments = what.arguments
    if what.request_id and not what.dry_run and (known := _known(application, what.request_id)):
        done = run(application.queue, known.id, actor) if known.left else known
        return _shown(what, search, done.summary, [], done)
    found = preview(application.queue, what.operation, search, limit=what.limit)
    ids = [item.id for item in found.items[:_SHOWN]]
    if what.dry_run:
        return _shown(what, search, found.summary, ids, None)
    stored = plan(
        application.queue,
        what.operation,
        [item.document for item in found.items],
        actor,
        name=what.name,
        query=str(search),
        arguments=arguments,
        summary=found.summary,
        action_id=what.request_id or new_request_id(),
    )
    return _shown(what, search, found.summary, ids, run(application.queue, stored.id, actor))


@router.get("", dependencies=[Depends(require_reader)])
def list_actions(application: ApplicationDep, limit: PageSize = 50) -> Actions:
    """Bulk actions, newest first."""
    return Actions(actions=application.queue.list_actions(max_actions=limit))


@router.get("/{action_id}", dependencies=[Depends(require_reader)], responses=problems(404))
def get_action(application: ApplicationDep, action_id: Part) -> BulkAction:
    """A bulk action with its progress; `GET /api/jobs?where=action:ID` lists its jobs."""
    return application.queue.find_action(action_id)


@router.post("/{action_id}/run", responses=problems(404))
def run_action(application: ApplicationDep, actor: Actor, action_id: Part, how: Continue | None = None) -> BulkAction:
    """Run an action, or continue one that was stopped or interrupted."""
    found = application.queue.find_action(action_id)
    return run(application.queue, found.id, actor, limit=(how or Continue()).limit)


@router.post("/{action_id}/stop", responses=problems(404))
def stop_action(application: ApplicationDep, actor: Actor, action_id: Part) -> BulkAction:  # noqa: ARG001 - operators only
    """Stop an action after the batch that runs."""
    return application.queue.stop_action(application.queue.find_action(action_id).id)


def _known(application: Application, action_id: UUID) -> BulkAction | None:
    found = application.queue.list_actions(part=str(action_id), max_actions=1)
    return found[0] if found else None


def _shown(what: NewAction, search: JobSearch, summary: Json, ids: list[UUID], action: BulkAction | None) -> Previewed:
    return Previewed(
        operation=what.operation,
        where=str(search),
        dry_run=what.dry_run,
        summary=summary,
        job_ids=ids,
        action=action,
    )
