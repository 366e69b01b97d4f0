"""Bulk actions over HTTP: a dry run first, a bound on one request, every one in the log."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool
from pydantic_core import PydanticCustomError

from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.bulk import Operation, preview
from cogo_dagster.queue.model import Json
from cogo_dagster.web.actions import MOST_AT_ONCE
from cogo_dagster.web.api.schemas import NO_NULL, Done

_SHOWN: Final = 100


def _checked_number(value: object) -> object:
    """JSON's 5.0 is an integer, which `strict` would refuse; true and "5" are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


class Filters(BaseModel):
    """To which rows; all that match, up to `limit`."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, max_length=200, pattern=NO_NULL, description="Only types that begin so.")
    executor: str | None = Field(
        None, max_length=200, pattern=NO_NULL, description="Only those addressed to this executor id."
    )
    since_seconds: float | None = Field(None, strict=True, ge=0, le=315_360_000, description="Failed within so long.")
    job_ids: list[UUID] | None = Field(None, min_length=1, max_length=1000, description="Only these.")
    limit: Annotated[int, BeforeValidator(_checked_number)] = Field(
        MOST_AT_ONCE, ge=1, le=MOST_AT_ONCE, description="At most so many in one request."
    )
    dry_run: StrictBool = Field(True, description="Say what would happen, write nothing.")

    def arguments(self) -> dict[str, Json]:
        """Return them as the engine takes them."""
        return {
            "type_prefix": self.type,
            "executor_id": self.executor,
            "since_seconds": self.since_seconds,
            "job_ids": [str(job_id) for job_id in self.job_ids] if self.job_ids else None,
        }


def done(application: Application, operation: Operation, actor: str, what: Filters) -> Done:
    """Do it, or say what would happen.

    Raises:
        QueueError: An argument is refused, or a named row does not fit.
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
        items=totals.items[:_SHOWN],
    )
