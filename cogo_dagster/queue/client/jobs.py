"""Enqueuing, reading and cancelling jobs, and the dead-letter queue."""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

from cogo_dagster.queue.errors import InvalidArgument, JobNotFound
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import NEW_JOB_DEFAULTS, EnqueuedJobs, Json, JsonValue, NewJob
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.rows.dead_letters import DeadLetter, Incident
from cogo_dagster.queue.rows.jobs import (
    Cancelled,
    FoundJob,
    FoundJobs,
    FoundPages,
    JobContext,
    JobReason,
    TruncatedJob,
    WholeJob,
)
from cogo_dagster.queue.transports.base import Transport, without_none

_ENQUEUE_BATCH: Final = 1_000
_LIST_LIMIT: Final = 1_000
_MAX_NAMED: Final = 5


class JobCalls:
    """Calls for jobs."""

    _transport: Transport

    def enqueue(self, jobs: Sequence[NewJob]) -> EnqueuedJobs:
        """Enqueue jobs in order, in batches of 1,000, each of them atomically."""
        enqueued = EnqueuedJobs()
        for first in range(0, len(jobs), _ENQUEUE_BATCH):
            arguments = _columns(jobs[first : first + _ENQUEUE_BATCH])
            result = self._transport.call("enqueue_columns", {**arguments, "request_id": str(new_request_id())})
            enqueued.add(result["job_ids"], result["created"])
        return enqueued

    def prepare_enqueue(self) -> None:
        """Call `enqueue` without jobs: a connection is open and the statement planned before the first batch is ready.

        Both together take as long as the enqueueing of 2,000 jobs.
        """
        self._transport.call("enqueue_columns", {"types": [], "payloads": [], "request_id": str(new_request_id())})

    def get_jobs(self, job_ids: Sequence[UUID]) -> list[WholeJob]:
        """Return jobs with payload, result, superseded attempts and artifacts, in the given order."""
        return read_list(WholeJob, self._transport.call("get_jobs", {"job_ids": [str(job_id) for job_id in job_ids]}))

    def get_truncated_job(self, job_id: UUID, most_chars: int = 65_536) -> TruncatedJob | None:
        """Return a job with an overlong payload or result truncated; None if it does not exist.

        See the SQL function `look_at_job`.
        """
        row = self._transport.call("look_at_job", {"job_id": str(job_id), "most_chars": most_chars})
        return None if row is None else TruncatedJob.model_validate(row)

    def list_jobs(
        self,
        *,
        statuses: Sequence[str] | None = None,
        type_prefix: str | None = None,
        executor_id: str | None = None,
        since_seconds: float | None = None,
        before_id: UUID | None = None,
        max_jobs: int = 50,
    ) -> list[FoundJob]:
        """Return at most 1,000 jobs, newest first; one call of the database scans at most 10,000 jobs.

        Args:
            type_prefix: `browser` matches browser and browser.pdf.
            since_seconds: Maximum age of the job.
            before_id: The last ID of the previous page.
        """
        filters = without_none(
            statuses=list(statuses) if statuses else None,
            types=None if type_prefix is None else [type_prefix],
            executor_ids=None if executor_id is None else [executor_id],
            created=None if since_seconds is None else {"from": since_seconds},
        )
        rows: list[FoundJob] = []
        wanted, cursor = min(max_jobs, _LIST_LIMIT), before_id
        while len(rows) < wanted:
            page = self.query_jobs(filters, before_id=cursor, max_jobs=wanted - len(rows))
            rows += page.jobs
            cursor = page.before_id
            if cursor is None:
                break
        return rows

    def query_jobs(
        self, filters: Mapping[str, Json], *, before_id: UUID | None = None, max_jobs: int = 50
    ) -> FoundJobs:
        """Return a page of the jobs that match filters; one call scans at most 10,000 jobs.

        Args:
            filters: As the SQL function `query_jobs` takes it; see `queue.search`.
            before_id: `before_id` of the previous page.
        """
        page = self._transport.call(
            "query_jobs",
            without_none(
                filter=dict(filters), before_id=None if before_id is None else str(before_id), max_jobs=max_jobs
            ),
        )
        return FoundJobs.model_validate(page)

    def context(self, job_id: UUID) -> JobContext | None:
        """Return jobs to compare a job with; None if there is no such job."""
        row = self._transport.call("job_context", {"job_id": str(job_id)})
        return None if row is None else JobContext.model_validate(row)

    def list_pages(
        self, start: datetime, end: datetime, *, before: Cursor | None = None, max_pages: int = 24
    ) -> FoundPages:
        """Return the pages that were opened successfully in a half-open window, newest first.

        Args:
            before: `before` of the previous call.
        """
        arguments = without_none(
            window_start=start.isoformat(),
            window_end=end.isoformat(),
            before=before and dict(before),
            max_pages=max_pages,
        )
        return FoundPages.model_validate(self._transport.call("list_pages", arguments))

    def find_id(self, given: str) -> UUID:
        """Return the ID of the job whose ID, or that of one of its attempts, has at least 8 first or last digits.

        An unknown complete ID is returned as it is.

        Raises:
            InvalidArgument: The digits are not part of an ID, or belong to several jobs.
            JobNotFound: No job has them.
        """
        whole = None
        with contextlib.suppress(ValueError):
            whole = UUID(given)
        found = self._transport.call("find_jobs", {"part": str(whole or given), "max_jobs": _MAX_NAMED})
        if whole and not found:
            return whole
        if whole and len(found) > 1:
            raise InvalidArgument(f"Several jobs were claimed with {given}: give the ID of one of {', '.join(found)}.")
        if not found:
            raise JobNotFound(f"No job has an ID that begins or ends with {given}: `cogo list jobs` lists the jobs.")
        if len(found) > 1:
            more = " and others" if len(found) == _MAX_NAMED else ""
            raise InvalidArgument(f"{given} is part of the IDs {', '.join(found)}{more}: give more digits.")
        return UUID(found[0])

    def explain(self, job_ids: Sequence[UUID], *, count_ahead: bool = True) -> list[JobReason]:
        """Return the reasons for the statuses of at most 1,000 jobs; see the SQL function `explain_jobs`.

        Args:
            count_ahead: Whether to count the jobs ahead of each due job, which takes longer.
        """
        ids = [str(job_id) for job_id in job_ids]
        return read_list(JobReason, self._transport.call("explain_jobs", {"job_ids": ids, "count_ahead": count_ahead}))

    def cancel(self, job_id: UUID, *, actor: str | None = None) -> Cancelled:
        """Cancel a queued job, or request the cancellation of a running one.

        Args:
            actor: Who performs the operation, for `operations_log`; None for the database's user.
        """
        return Cancelled.model_validate(self._transport.call("cancel_job", {"job_id": str(job_id), "actor": actor}))

    def list_dlq(
        self,
        *,
        type_prefix: str | None = None,
        executor_id: str | None = None,
        since_seconds: float | None = None,
        fingerprint: str | None = None,
        open_only: bool = True,
        before: Cursor | None = None,
        max_jobs: int = 50,
    ) -> list[DeadLetter]:
        """Return the dead-letter queue, newest failure first.

        Args:
            since_seconds: Maximum time since the failure.
            open_only: Whether to leave out jobs that were replayed or retried.
            before: `failed_at` and `job_id` of the last row of the previous page.
        """
        rows = self._transport.call(
            "list_dlq",
            without_none(
                type_prefix=type_prefix,
                executor_id=executor_id,
                since_seconds=since_seconds,
                fingerprint=fingerprint,
                open_only=open_only,
                before=before and dict(before),
                max_jobs=max_jobs,
            ),
        )
        return read_list(DeadLetter, rows)

    def list_incidents(
        self, *, type_prefix: str | None = None, since_seconds: float | None = None, max_incidents: int = 50
    ) -> list[Incident]:
        """Return open dead-lettered jobs grouped by the fingerprint of their error, the most frequent first."""
        rows = self._transport.call(
            "list_incidents",
            without_none(type_prefix=type_prefix, since_seconds=since_seconds, max_incidents=max_incidents),
        )
        return read_list(Incident, rows)

    def set_payload_limit(self, max_bytes: int) -> None:
        """Set the maximum number of bytes of payloads and results as JSON text, for all callers."""
        self._transport.call("set_payload_limit", {"max_bytes": max_bytes})


def _columns(jobs: Sequence[NewJob]) -> dict[str, JsonValue]:
    """Return the columns of jobs as `enqueue_columns` takes them, without those that hold only defaults."""
    types = [job.type for job in jobs]
    columns: dict[str, JsonValue] = {
        "types": types[:1] if types.count(types[0]) == len(types) else types,
        "payloads": [job.payload if type(job.payload) is dict else dict(job.payload) for job in jobs],
    }
    for name, attribute, default in _OPTIONAL_COLUMNS:
        column = list(map(attribute, jobs))
        if column.count(default) != len(column):
            columns[name] = column
    return columns


_COLUMNS: Final = {
    "executor_id": "executor_ids",
    "priority": "priorities",
    "max_attempts": "max_attempts",
    "idempotency_key": "idempotency_keys",
    "run_in_seconds": "run_in_seconds",
    "timeout_seconds": "timeout_seconds",
}
_OPTIONAL_COLUMNS: Final = tuple((_COLUMNS[name], attrgetter(name), default) for name, default in NEW_JOB_DEFAULTS)


def content_key(type: str, executor_id: str | None, payload: Mapping[str, JsonValue]) -> str:
    """Return the idempotency key for a job's content: the SHA-256 of its canonical JSON, in hexadecimal."""
    canonical = json.dumps([type, executor_id, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
