"""The queue's words as Python types.

job        a row of `jobs`: something to run once, or again until it succeeds or is out of attempts
type       what to run, `browser` or `browser.pdf`; the part before the first dot is its family
attempt    one claim of a job; `attempts` counts from 1 and is counted at claim
lease      the right to run one attempt until `lease_expires_at`, proved by `lease_token`
executor   code that runs one family of types
outcome    how an attempt ended
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, Self
from uuid import UUID

from typing_extensions import TypeVar

from cogo_dagster.queue.decoding import read_time
from cogo_dagster.queue.ids import uuid_of
from cogo_dagster.redaction import redactor_of
from cogo_dagster.text import storable

Json = Any
"""What `json.loads` returns: None, bool, int, float, str, list, dict."""

PayloadT_co = TypeVar("PayloadT_co", covariant=True, default=Mapping[str, Json])

MOST_CLASS_CHARS: Final = 200
MOST_MESSAGE_CHARS: Final = 2_000
MOST_DETAIL_CHARS: Final = 20_000
"""What of an error is kept."""


class Outcome(StrEnum):
    """How an attempt ended, as `settle_jobs` takes it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # back to queued with backoff, or to the DLQ
    SNOOZED = "snoozed"  # back to queued later, attempt given back
    REQUEUED = "requeued"  # back to queued now, attempt given back
    CANCELLED = "cancelled"


@dataclass(slots=True)  # not frozen: one is made for each claim of a job, and that would take four times as long
class Job(Generic[PayloadT_co]):
    """A claimed job: what an executor needs to run one attempt.

    Attributes:
        payload: An instance of the executor's model of payloads; as claimed, and without a model, the JSON object.
        attempts: The number of this attempt, from 1.
        lease_token: Proof of the lease; every write about this attempt carries it.
        timeout_seconds: Longest run of one attempt; None takes the worker's limit.
        lost_attempts: How many attempts before this one were lost in a row: their workers ended unexpectedly.
    """

    id: UUID
    type: str
    payload: PayloadT_co
    attempts: int
    max_attempts: int
    lease_token: UUID
    executor_id: str | None = None
    priority: int = 5
    idempotency_key: str | None = None
    timeout_seconds: float | None = None
    created_at: datetime | None = None
    lost_attempts: int = 0

    @property
    def family(self) -> str:
        """The part of the type before the first dot; it chooses the executor."""
        return family_of(self.type)

    @classmethod
    def from_json(cls, row: Mapping[str, Json]) -> Self:
        """Read a job as `claim_chosen_jobs` returns it."""
        return cls(
            id=UUID(row["id"]),
            type=row["type"],
            payload=row["payload"],
            attempts=row["attempts"],
            max_attempts=row["max_attempts"],
            lease_token=UUID(row["lease_token"]),
            executor_id=row["executor_id"],
            priority=row["priority"],
            idempotency_key=row["idempotency_key"],
            timeout_seconds=_seconds(row["timeout_seconds"]),
            created_at=_moment(row["created_at"]),
            lost_attempts=row.get("lost_attempts", 0),
        )

    @classmethod
    def from_compact(cls, row: Sequence[Json], lease_token: UUID) -> Self:
        """Read a job as a compact `claim_jobs` returns it: see the SQL function `compact_job`."""
        job = cls(uuid_of(row[0]), row[1], row[2], row[3], row[4], lease_token, created_at=_moment(row[5]))
        if len(row) > 6:
            others = row[6]
            job.executor_id = others["executor_id"]
            job.priority = others["priority"]
            job.idempotency_key = others["idempotency_key"]
            job.timeout_seconds = _seconds(others["timeout_seconds"])
            job.lost_attempts = others["lost_attempts"]
        return job


def _seconds(value: Json) -> float | None:
    """Read a limit; one that is no positive number, such as infinity, is none."""
    return value if isinstance(value, int | float) and 0 < value < math.inf else None


def _moment(text: Json) -> datetime | None:
    """Read a time; one outside of Python's range is none."""
    moment = read_time(text)
    return moment if isinstance(moment, datetime) else None


def family_of(type: str) -> str:
    """Return the family of a type: `browser.pdf` belongs to `browser`."""
    return type.partition(".")[0]


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file an executor made, waiting on local disk to be uploaded.

    Attributes:
        name: Display name, unique within the attempt (`screenshot.png`); never a path in storage.
        content_type: MIME type.
        path: The local file; the worker deletes its folder after the upload.
        cache_key: What it is a copy of, for whoever needs the same later; at most 200 characters.
    """

    name: str
    content_type: str
    path: Path
    cache_key: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What a successful execution leaves: a small JSON result and files."""

    result: Json = None
    artifacts: Sequence[ArtifactFile] = ()


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt failed, as kept in the job row, the attempt and the DLQ.

    Attributes:
        error_class: Short stable name (`timeout`, `dns`, `blocked_address`, `ValueError`), good for grouping; the first
            200 characters are kept.
        message: One sentence, first line shown everywhere; no secrets.
        retryable: False sends the job to the DLQ at once.
        detail: Longer text for the job page, such as a traceback.
    """

    error_class: str
    message: str
    retryable: bool = True
    detail: str | None = None

    def redacted(self, secrets: Iterable[str]) -> "JobError":
        """Return the same without what looks like a secret or is one of these, in the lengths that are stored."""
        hide = redactor_of(tuple(secrets)).beginning
        return replace(
            self,
            error_class=hide(self.error_class, MOST_CLASS_CHARS),
            message=hide(self.message, MOST_MESSAGE_CHARS),
            detail=hide(self.detail, MOST_DETAIL_CHARS) if self.detail else None,
        )

    def to_json(self) -> dict[str, Json]:
        """Return the document stored in `jobs.error`."""
        return {
            "class": storable(self.error_class[:MOST_CLASS_CHARS]),
            "message": storable(self.message[:MOST_MESSAGE_CHARS]),
            "retryable": self.retryable,
            "detail": storable(self.detail[:MOST_DETAIL_CHARS]) if self.detail else None,
        }


@dataclass(slots=True)  # not frozen: one is made for each job, and that would triple the time
class Settlement:
    """How one attempt ended, from its execution to `settle_jobs`.

    Attributes:
        delay_seconds: For a failure: the least wait before the retry (a Retry-After). For a snooze: the wait.
        run_seconds: How long the executor ran.
        uncounted: This snooze does not count towards the cap on snoozes: a dependency of ours is not available.
        artifacts: The files that the attempt left, for the upload.
    """

    job: Job[Any]
    outcome: Outcome
    result: Json = None
    error: JobError | None = None
    delay_seconds: float | None = None
    run_seconds: float | None = None
    uncounted: bool = False
    artifacts: tuple[ArtifactFile, ...] = ()

    @property
    def is_plain_success(self) -> bool:
        """Whether `succeed_jobs` can record it: a success that kept no error."""
        return self.outcome is Outcome.SUCCEEDED and self.error is None

    def to_json(self) -> dict[str, Json]:
        """Return one element of the `settlements` argument of `settle_jobs`; what is left out is null there."""
        document: dict[str, Json] = {
            "job_id": str(self.job.id),
            "lease_token": str(self.job.lease_token),
            "outcome": self.outcome,
            "run_seconds": self.run_seconds,
        }
        if self.result is not None:
            document["result"] = self.result
        if self.error is not None:
            document |= {"error": self.error.to_json(), "retryable": self.error.retryable}
        if self.delay_seconds is not None:
            document["delay_seconds"] = self.delay_seconds
        if self.uncounted:
            document["uncounted"] = True
        return document


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue.

    Attributes:
        executor_id: Address; None is served by every worker.
        priority: 0 (first) to 9.
        run_in_seconds: Wait before the first attempt.
        timeout_seconds: Longest run of one attempt.
    """

    type: str
    payload: Mapping[str, Json] = field(default_factory=dict)
    executor_id: str | None = None
    priority: int = 5
    max_attempts: int = 5
    idempotency_key: str | None = None
    run_in_seconds: float = 0
    timeout_seconds: float | None = None

    def to_json(self) -> dict[str, Json]:
        """Return one element of the `jobs` argument of `enqueue_jobs`; what is left out has its default there."""
        document: dict[str, Json] = {"type": self.type, "payload": dict(self.payload)}
        for name, default in _NEW_JOB_DEFAULTS:
            if (value := getattr(self, name)) != default:
                document[name] = value
        return document


_NEW_JOB_DEFAULTS: Final = tuple(
    (each.name, each.default) for each in fields(NewJob) if each.name not in ("type", "payload")
)


class Enqueued(NamedTuple):
    """The answer to one enqueued job; `created` is False when the idempotency key found an older one."""

    job_id: UUID
    created: bool
