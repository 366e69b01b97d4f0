"""The request to enqueue a job, which the API and the dashboard share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool
from pydantic_core import PydanticCustomError

from cogo_dagster.queue.model import Json, NewJob

_NAME = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _checked_integer(value: object) -> object:
    """Accept 5.0, which is an integer in JSON and which `strict` would reject; reject true and "5"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Integer = Annotated[int, BeforeValidator(_checked_integer)]


class JobOptions(BaseModel):
    """The options of a new job."""

    model_config = ConfigDict(extra="forbid")

    executor_id: str | None = Field(
        None, min_length=1, max_length=200, pattern=_NAME, description="Only workers with this executor ID may run it."
    )
    priority: Integer = Field(5, ge=0, le=9, description="0 runs first.")
    max_attempts: Integer = Field(5, ge=1, le=100, description="Attempts before the job is dead-lettered.")
    run_in_seconds: float = Field(0, strict=True, ge=0, le=315_360_000, description="Delay of the first attempt.")
    timeout_seconds: float | None = Field(
        None, strict=True, gt=0, le=86_400, description="Timeout of one attempt; by default that of the worker."
    )
    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        pattern=r"^[^\u0000]*$",
        description="At most one job per type and key; a second request returns the first job.",
    )


class JobRequest(JobOptions):
    """A job to enqueue. Its payload is validated by the executor of its type."""

    type: str = Field(max_length=100, pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", description="Such as `browser`.")
    payload: dict[str, Json] = Field(default_factory=dict, description="See the types of payloads.")
    dry_run: StrictBool = Field(False, description="Validate the job, and do not enqueue it.")

    @property
    def job(self) -> NewJob:
        """The job for `Queue.enqueue`."""
        return NewJob(**self.model_dump(exclude={"dry_run"}))
