"""Bulk actions over HTTP: dry run by default, limited per request, recorded in the operations log."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool
from pydantic_core import PydanticCustomError

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.bulk import Operation, preview
from cogo_dagster.queue.model import Json
from cogo_dagster.web.actions import MAX_ROWS
from cogo_dagster.web.api.schemas import NO_NULL, Done

_SHOWN: Final = 100


def checked_number(value: object) -> object:
    """Accept 5.0, which is an integer in JSON and which `strict` would reject; reject true and "5"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


class Filters(BaseModel):
    """Selects rows; all that match, up to `limit`."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, max_length=200, pattern=NO_NULL, description="Type prefix.")
    executor: str | None = Field(
        None, max_length=200, pattern=NO_NULL, description="Executor ID that the jobs are addressed to."
    )
    since_seconds: float | None = Field(
        None, strict=True, ge=0, le=315_360_000, description="Failed within the last N seconds."
    )
    job_ids: list[UUID] | None = Field(None, min_length=1, max_length=1000, description="Only these jobs.")
    limit: Annotated[int, BeforeValidator(checked_number)] = Field(
        MAX_ROWS, ge=1, le=MAX_ROWS, description="Maximum number of rows."
    )
    dry_run: StrictBool = Field(True, description="Report what would change, without changing it.")

    def arguments(self) -> dict[str, Json]:
        """Return the filters as arguments of the SQL function."""
        return {
            "type_prefix": self.type,
            "executor_id": self.executor,
            "since_seconds": self.since_seconds,
            "job_ids": [str(job_id) for job_id in self.job_ids] if self.job_ids else None,
        }


def done(application: Application, operation: Operation, actor: str, what: Filters) -> Done:
    """Perform an operation, or preview it if `dry_run` is set.

    Raises:
        QueueError: An argument is invalid, or a named row cannot be changed.
    """
    if what.dry_run:
        totals = preview(application.queue, operation, what.limit)
    else:
        totals = application.perform(operation, actor, limit=what.limit)
    return Done(
        matched=totals.matched,
        changed=totals.changed,
        skipped=totals.skipped,
        dry_run=what.dry_run,
        operation_id=totals.action_id,
        left_out=totals.left_out.document,
        items=totals.items[:_SHOWN],
    )
