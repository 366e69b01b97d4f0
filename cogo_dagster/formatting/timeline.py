"""The history of a job as a list of moments. Pure functions."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.formatting.values import error_line
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.jobs import JobRow, StoredError, SupersededAttempt, WholeJob

Time = datetime | Unreadable
"""A time, or the reason why it is unreadable."""

_ENDS: Final = {
    "failed": "Attempt {attempt} failed",
    "lost": "Attempt {attempt} lost its lease",
    "released": "Attempt {attempt} was released",
    "snoozed": "Attempt {attempt} was snoozed",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A past or future event of a job.

    Attributes:
        kind: `created`, `claimed`, `started`, an outcome or a status.
        note: An additional line, such as the error.
    """

    at: Time
    kind: str
    title: str
    note: str | None = None

    def is_after(self, now: datetime) -> bool:
        """Whether the moment is in the future."""
        return isinstance(self.at, datetime) and self.at > now

    def seconds_since(self, other: "Moment") -> float | None:
        """Return the seconds since another moment; None if one of the two is unreadable."""
        if isinstance(self.at, datetime) and isinstance(other.at, datetime):
            return (self.at - other.at).total_seconds()
        return None


@dataclass(frozen=True, slots=True)
class JobAttempt:
    """One attempt, superseded or the last."""

    number: int
    outcome: str
    worker_id: str | None
    claimed_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    run_seconds: float | Unreadable | None
    error: StoredError | Unreadable | None


def attempts_of(job: WholeJob) -> list[JobAttempt]:
    """Return all attempts of a job from `get_jobs`, oldest first."""
    earlier = [_attempt(row, row.attempt, row.outcome) for row in job.superseded_attempts]
    if job.status == "queued" or not job.claimed_at or _is_superseded(job, earlier):
        return earlier
    return [*earlier, _attempt(job, job.attempts, job.status)]


def timeline(job: WholeJob) -> list[Moment]:
    """Return the moments of a job from `get_jobs` in order, future ones last."""
    moments = [Moment(job.created_at, "created", "Enqueued")]
    for attempt in attempts_of(job):
        moments += _moments(attempt)
    if job.status == "queued":
        moments.append(Moment(job.next_run_at, "next", "Due"))
    elif job.status == "cancelled" and not any(moment.kind == "cancelled" for moment in moments):
        moments.append(Moment(_known(job.finished_at), "cancelled", "Cancelled"))
    elif job.status == "running":
        moments.append(Moment(_known(job.lease_expires_at), "lease", "Lease expires unless renewed"))
    return _in_order(moments)


def _in_order(moments: list[Moment]) -> list[Moment]:
    """Sort moments by time after the first one; an unreadable one stays after its predecessor."""
    pairs, last = [], datetime.min.replace(tzinfo=UTC)
    for moment in moments[1:]:
        last = moment.at if isinstance(moment.at, datetime) else last
        pairs.append((last, moment))
    return moments[:1] + [moment for _, moment in sorted(pairs, key=lambda pair: pair[0])]


def latest_moments(moments: list[Moment], count: int) -> tuple[list[Moment], int]:
    """Return the first moment and a number of the last ones, and how many between them are left out."""
    left_out = max(len(moments) - 1 - count, 0)
    return moments[:1] + moments[1 + left_out :], left_out


def _moments(attempt: JobAttempt) -> list[Moment]:
    moments = []
    if attempt.claimed_at:
        claimed = f"Attempt {attempt.number} claimed by {attempt.worker_id or 'an unknown worker'}"
        moments.append(Moment(attempt.claimed_at, "claimed", claimed))
    if attempt.finished_at and attempt.outcome != "running":
        title = _ENDS.get(attempt.outcome, f"Attempt {attempt.number} {attempt.outcome}").format(attempt=attempt.number)
        moments.append(Moment(attempt.finished_at, attempt.outcome, title, _note(attempt)))
    return moments


def _is_superseded(job: WholeJob, earlier: list[JobAttempt]) -> bool:
    """Whether the claim in the row belongs to a superseded attempt, as after a crash or a cancellation while queued."""
    return any(attempt.claimed_at == job.claimed_at for attempt in earlier)


def _note(attempt: JobAttempt) -> str | None:
    if attempt.error is None:
        return None
    if not isinstance(attempt.error, StoredError):
        return error_line(attempt.error)
    return f"{attempt.error.error_class}: {str(attempt.error.message).partition(chr(10))[0]}"


def _attempt(row: SupersededAttempt | JobRow, number: int, outcome: str) -> JobAttempt:
    return JobAttempt(
        number=number,
        outcome=outcome,
        worker_id=row.worker_id,
        claimed_at=row.claimed_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        run_seconds=row.run_seconds,
        error=row.error,
    )


def _known(time: Time | None) -> Time:
    return Unreadable("unreadable: no time") if time is None else time
