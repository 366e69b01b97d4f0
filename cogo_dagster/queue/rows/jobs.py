"""Jobs and their attempts."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeNumber, MaybeTime, OrUnreadable, Time, UnreadableText
from cogo_dagster.text import storable_json

_SUBJECT_CHARS: Final = 300
_COMMIT_DIGITS: Final = 8

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ShownStatus = Annotated[Status | UnreadableText, OrUnreadable]


def _text(value: Json) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)[:2_000]


Text = Annotated[str | None, BeforeValidator(_text)]


class StoredError(BaseModel):
    """Why an attempt failed."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, defer_build=True)

    error_class: Text = Field(None, alias="class")
    message: Text = None
    retryable: Annotated[bool | UnreadableText | None, OrUnreadable] = None
    detail: Text = None


ShownError = Annotated[
    StoredError | UnreadableText | None, OrUnreadable, BeforeValidator(lambda error: storable_json(error)[0])
]


class JobRow(Row):
    """A job in a list."""

    id: UUID
    type: str
    status: ShownStatus
    executor_id: str | None
    priority: int
    attempts: int
    max_attempts: int
    next_run_at: Time
    idempotency_key: str | None
    worker_id: str | None
    instance_id: UUID | None
    lease_expires_at: MaybeTime
    cancel_requested: bool
    created_at: Time
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: MaybeTime
    run_seconds: MaybeNumber
    error: ShownError
    forced: bool = Field(description="Whether it failed and was counted as succeeded by BROWSER_FORCE_SUCCESS.")

    @property
    def shown_error(self) -> StoredError | UnreadableText | None:
        """The error of the last attempt, unless the job succeeded."""
        return None if self.status == "succeeded" else self.error


class FoundJob(JobRow):
    """A job in a search result."""

    subject: str | None = Field(
        description="What it is about: its URL, file, command, week, or repository, branch and commit."
    )


def payload_subject(payload: Json) -> str | None:
    """Return what a job is about: its URL, file, command, week, or repository, branch and commit.

    The SQL function `payload_subject` returns the same.
    """
    if not isinstance(payload, Mapping):
        return None
    gate = (payload.get("repository"), payload.get("branch"), str(payload.get("commit") or "")[:_COMMIT_DIGITS])
    found = (
        *(payload.get(name) for name in ("url", "file_key", "command")),
        " ".join(str(part) for part in gate if part),
        payload.get("week"),
    )
    subject = next((value for value in found if value), None)
    return None if subject is None else str(subject)[:_SUBJECT_CHARS]


class FoundJobs(Row):
    """A page of search results.

    Attributes:
        before_id: The cursor of the next page; None after the last.
        looked_until: How far back an incomplete page was searched.
    """

    jobs: list[FoundJob]
    before_id: UUID | None
    looked_until: MaybeTime


class SupersededAttempt(Row):
    """An attempt that was followed by another one or by a retry.

    Attributes:
        ended_job: Whether the job had failed with it.
    """

    job_id: UUID
    attempt: int
    outcome: str
    worker_id: str | None
    instance_id: UUID | None
    claimed_at: MaybeTime
    started_at: MaybeTime
    finished_at: Time
    run_seconds: MaybeNumber
    error: ShownError
    ended_job: bool


class JobDiscard(Row):
    """The discard of a dead-lettered job; `id` is that of the operation, which can be undone."""

    id: UUID | None
    at: MaybeTime
    reason: str | None


class WholeJob(JobRow):
    """A job with its attempts and artifacts.

    Attributes:
        lost_attempts: How many attempts before the current one were lost in a row.
        dagster_run_id: The run of the worker that claimed it last.
        replay_of: The dead-lettered job that it replays.
        replayed_job_id: The job that replays it.
        discard: None unless it is dead-lettered and discarded.
        artifacts: Ready artifacts.
    """

    payload: Json
    result: Json
    snoozes: int
    lost_attempts: int
    timeout_seconds: MaybeNumber
    dagster_run_id: str | None
    superseded_attempts: list[SupersededAttempt]
    replay_of: UUID | None
    replayed_job_id: UUID | None
    discard: JobDiscard | None
    artifacts: list[ArtifactRow]

    @property
    def subject(self) -> str | None:
        """What the job is about, as in a search result."""
        return payload_subject(self.payload)


class TruncatedJob(WholeJob):
    """A job with an overlong payload or result truncated.

    Attributes:
        payload_start: The beginning of the payload's text, if the payload is left out.
        result_start: The beginning of the result's text, if the result is left out.
    """

    payload_chars: int | None
    payload_start: str | None
    result_chars: int | None
    result_start: str | None


class JobReason(Row):
    """The reason for a job's status; see the SQL function `explain_jobs` for the keys of each `why`."""

    job_id: UUID
    why: str
    kind: str | None = None
    name: str | None = None
    paused_at: MaybeTime = None
    actor: str | None = None
    reason: str | None = None
    next_run_at: MaybeTime = None
    attempts: int | None = None
    snoozed: str | None = None
    family: str | None = None
    executor_id: str | None = None
    slots: int | None = None
    ahead: int | None = None
    worker_id: str | None = None
    lease_expires_at: MaybeTime = None
    replayed_job_id: UUID | None = None
    discarded_at: MaybeTime = None
    discard_reason: str | None = None


class RelatedJob(Row):
    """A job to compare another one with.

    Attributes:
        at: When it failed or succeeded.
    """

    job_id: UUID
    at: Time


class JobContext(Row):
    """Jobs to compare a job with.

    Attributes:
        fingerprint: Of the job's own failure; None if it is not dead-lettered.
        newer: The open dead-lettered job of the same cause that failed next.
        older: The one that failed before.
        last_success: The last job of the family that succeeded with the same URL.
    """

    fingerprint: str | None
    newer: RelatedJob | None
    older: RelatedJob | None
    last_success: RelatedJob | None


class FoundPage(Row):
    """A page that was opened successfully.

    Attributes:
        screenshot_id: The artifact `screenshot.png`, if it is still there.
    """

    job_id: UUID
    url: str
    title: str | None
    finished_at: Time
    screenshot_id: UUID | None


class FoundPages(Row):
    """Pages that were opened successfully in a window.

    Attributes:
        before: Where the next call continues; None after the last one.
    """

    pages: list[FoundPage]
    before: dict[str, str] | None


class Cancelled(Row):
    """The result of a cancel."""

    job_id: UUID
    status: Status
    cancel_requested: bool
