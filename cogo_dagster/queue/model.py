"""The queue's data types.

job        a row of `jobs`: work to run once, or until it succeeds or is out of attempts
type       what to run, `browser` or `browser.pdf`; the part before the first dot is its family
attempt    one claim of a job; `attempts` is counted from 1 at each claim
lease      the right to run one attempt until `lease_expires_at`, proved by `lease_token`
executor   code that runs one family of types
outcome    how an attempt ended
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, Self, TypeAlias, overload
from uuid import UUID

from typing_extensions import TypeVar

from cogo_dagster.queue.decoding import read_time
from cogo_dagster.queue.ids import StoredId
from cogo_dagster.redaction import redactor_of
from cogo_dagster.text import storable

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What can be written as JSON."""

Json = Any
"""A value that was read from JSON, and is validated where it is used."""

PayloadT_co = TypeVar("PayloadT_co", covariant=True, default=Mapping[str, Json])

MAX_CLASS_CHARS: Final = 200
MAX_MESSAGE_CHARS: Final = 2_000
MAX_DETAIL_CHARS: Final = 20_000
"""Maximum lengths of a stored error."""


class Outcome(StrEnum):
    """The outcome of an attempt, as `settle_jobs` takes it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # back to queued with backoff, or to the DLQ
    SNOOZED = "snoozed"  # back to queued later, attempt not counted
    REQUEUED = "requeued"  # back to queued now, attempt not counted
    CANCELLED = "cancelled"


@dataclass(slots=True)  # not frozen: one is made for each claim of a job, and that would take four times as long
class Job(Generic[PayloadT_co]):
    """A claimed job, with the data that an executor needs for one attempt.

    Attributes:
        payload: An instance of the executor's payload model; before validation, or without a model, the JSON object.
        attempts: The number of this attempt, from 1.
        lease_token: Proof of the lease; every write for this attempt includes it.
        timeout_seconds: Timeout of one attempt; None for the worker's default.
        lost_attempts: How many attempts before this one were lost in a row, because their workers ended unexpectedly.
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
        """The part of the type before the first dot; it selects the executor."""
        return family_of(self.type)

    @classmethod
    def from_json(cls, row: Mapping[str, Json]) -> Self:
        """Parse a job as `claim_chosen_jobs` returns it."""
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
    def list_from_compact(cls, rows: Sequence[Sequence[Json]], lease_token: UUID) -> list[Self]:
        """Parse the jobs that a compact `claim_jobs` returns; see the SQL function `compact_job`."""
        jobs: list[Self] = []
        last: Json = None
        created_at: datetime | None = None
        for row in rows:
            if row[5] != last:  # jobs that were enqueued by one call have the same time
                last, created_at = row[5], _moment(row[5])
            job = cls(StoredId(row[0]), row[1], row[2], row[3], row[4], lease_token)
            job.created_at = created_at
            if len(row) > 6:
                job._add_others(row[6])
            jobs.append(job)
        return jobs

    def _add_others(self, others: Mapping[str, Json]) -> None:
        self.executor_id = others["executor_id"]
        self.priority = others["priority"]
        self.idempotency_key = others["idempotency_key"]
        self.timeout_seconds = _seconds(others["timeout_seconds"])
        self.lost_attempts = others["lost_attempts"]


def _seconds(value: Json) -> float | None:
    """Parse a limit; a value that is not a positive number, such as infinity, means no limit."""
    return value if isinstance(value, int | float) and 0 < value < math.inf else None


def _moment(text: Json) -> datetime | None:
    """Parse a timestamp; None outside Python's range."""
    moment = read_time(text)
    return moment if isinstance(moment, datetime) else None


def family_of(type: str) -> str:
    """Return the family of a type: `browser.pdf` belongs to `browser`."""
    return type.partition(".")[0]


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A local file produced by an executor, to be uploaded, or the content of a small one.

    Attributes:
        name: Display name, unique within the attempt (`screenshot.png`); not a path in the store.
        content_type: MIME type.
        path: The local file; the worker deletes its folder after the upload.
        cache_key: Identifies the original that the file is a copy of, for later look-ups; at most 200 characters.
        content: The bytes, if there is no file; only the extension of `path` is used then.
    """

    name: str
    content_type: str
    path: Path
    cache_key: str | None = None
    content: bytes | None = field(default=None, repr=False)

    def read_bytes(self) -> bytes:
        """Return the content.

        Raises:
            OSError: The file cannot be read.
        """
        return self.path.read_bytes() if self.content is None else self.content


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """The result of a successful execution: a small JSON document and artifacts."""

    result: Json = None
    artifacts: Sequence[ArtifactFile] = ()


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt failed, as stored in the job row, the attempt and the DLQ.

    Attributes:
        error_class: Short stable name for grouping (`timeout`, `dns`, `blocked_address`, `ValueError`); truncated to
            200 characters.
        message: A message without secrets; lists show its first line.
        retryable: False dead-letters the job immediately.
        detail: Longer text for the job page, such as a traceback.
    """

    error_class: str
    message: str
    retryable: bool = True
    detail: str | None = None

    def redacted(self, secrets: Iterable[str]) -> "JobError":
        """Return a copy without the given secrets or anything that looks like one, truncated to the stored lengths."""
        redacted = redactor_of(tuple(secrets)).beginning
        return replace(
            self,
            error_class=redacted(self.error_class, MAX_CLASS_CHARS),
            message=redacted(self.message, MAX_MESSAGE_CHARS),
            detail=redacted(self.detail, MAX_DETAIL_CHARS) if self.detail else None,
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return the document for `jobs.error`."""
        return {
            "class": storable(self.error_class[:MAX_CLASS_CHARS]),
            "message": storable(self.message[:MAX_MESSAGE_CHARS]),
            "retryable": self.retryable,
            "detail": storable(self.detail[:MAX_DETAIL_CHARS]) if self.detail else None,
        }


@dataclass(slots=True)  # not frozen: one is created per job, and freezing would triple the time
class Settlement:
    """The end of one attempt, from its execution to `settle_jobs`.

    Attributes:
        delay_seconds: For a failure, the minimum delay of the retry (a Retry-After). For a snooze, its delay.
        run_seconds: Duration of the execution.
        uncounted: Whether this snooze does not count towards the limit of snoozes, since a required service is
            unreachable.
        artifacts: The attempt's artifacts, to be uploaded.
        stored: The artifacts that are uploaded and have no row yet: `settle_with_artifacts` records them.
    """

    job: Job[Any]
    outcome: Outcome
    result: Json = None
    error: JobError | None = None
    delay_seconds: float | None = None
    run_seconds: float | None = None
    uncounted: bool = False
    artifacts: tuple[ArtifactFile, ...] = ()
    stored: tuple[Mapping[str, JsonValue], ...] = ()

    @property
    def is_plain_success(self) -> bool:
        """Whether `succeed_jobs` can record it: a success without an error or artifacts to record."""
        return self.outcome is Outcome.SUCCEEDED and self.error is None and not self.stored

    def to_json(self) -> dict[str, JsonValue]:
        """Return an element of the `settlements` argument of `settle_jobs`; omitted keys are null there."""
        document: dict[str, JsonValue] = {
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
        if self.stored:
            document["artifacts"] = [dict(file) for file in self.stored]
        return document


@dataclass(slots=True)  # not frozen: one is created per job, and freezing would triple the time
class NewJob:
    """A job to enqueue.

    Attributes:
        executor_id: The executor that must run the job; None for any.
        priority: 0 (first) to 9.
        run_in_seconds: Delay of the first attempt.
        timeout_seconds: Timeout of one attempt.
    """

    type: str
    payload: Mapping[str, JsonValue] = field(default_factory=dict)
    executor_id: str | None = None
    priority: int = 5
    max_attempts: int = 5
    idempotency_key: str | None = None
    run_in_seconds: float = 0
    timeout_seconds: float | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return an element of the `jobs` argument of `enqueue_jobs`; omitted keys get their defaults there."""
        document: dict[str, JsonValue] = {"type": self.type, "payload": dict(self.payload)}
        for name, default in NEW_JOB_DEFAULTS:
            if (value := getattr(self, name)) != default:
                document[name] = value
        return document


NEW_JOB_DEFAULTS: Final = tuple(
    (column.name, column.default) for column in fields(NewJob) if column.name not in ("type", "payload")
)
"""The optional fields of a new job, each with its default."""


class Enqueued(NamedTuple):
    """The result for one enqueued job; `created` is False if its idempotency key belongs to an earlier job."""

    job_id: UUID
    created: bool


class EnqueuedJobs(Sequence[Enqueued]):
    """The results for enqueued jobs, in order; each is made when it is read.

    Made in advance, 20,000 of them take as long to create and to search for cycles as their jobs take to encode.

    Attributes:
        ids: The IDs as text.
    """

    __slots__ = ("_existing", "ids")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._existing: set[int] = set()

    @property
    def created(self) -> int:
        """The number of jobs that were created."""
        return len(self.ids) - len(self._existing)

    def add(self, ids: Sequence[str], created: Sequence[bool] | None) -> None:
        """Append the results of one call; `created` is None if it created all jobs."""
        if created is not None:
            self._existing.update(number for number, new in enumerate(created, len(self.ids)) if not new)
        self.ids.extend(ids)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Enqueued: ...

    @overload
    def __getitem__(self, index: slice) -> list[Enqueued]: ...

    def __getitem__(self, index: int | slice) -> Enqueued | list[Enqueued]:
        if isinstance(index, slice):
            return [self._result(number) for number in range(len(self.ids))[index]]
        return self._result(range(len(self.ids))[index])

    def __iter__(self) -> Iterator[Enqueued]:
        return map(self._result, range(len(self.ids)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnqueuedJobs | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return repr(list(self))

    def _result(self, number: int) -> Enqueued:
        return Enqueued(StoredId(self.ids[number]), number not in self._existing)
