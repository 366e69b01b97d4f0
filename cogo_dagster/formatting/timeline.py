"""A job's life as a line of moments. Pure: the engine has the facts, this puts them in order."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.formatting.values import error_line
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.jobs import JobRow, StoredError, SupersededAttempt, WholeJob

Time = datetime | Unreadable
"""A moment, or why a row's cannot be read."""

_ENDS: Final = {
    "failed": "Attempt {attempt} failed",
    "lost": "Attempt {attempt} lost its lease",
    "released": "Attempt {attempt} was given back",
    "snoozed": "Attempt {attempt} was snoozed",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, or will.

    Attributes:
        kind: `created`, `claimed`, `started`, an outcome or a status: what a picture of it shows.
        note: One line more, such as the error.
    """

    at: Time
    kind: str
    title: str
    note: str | None = None

    def is_after(self, now: datetime) -> bool:
        """Whether it is yet to come."""
        return isinstance(self.at, datetime) and self.at > now

    def seconds_since(self, other: "Moment") -> float | None:
        """Return how much later it is; None where one of the two cannot be read."""
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
    """Return every attempt of a whole job, as `get_jobs` returns it, oldest first."""
    earlier = [_attempt(row, row.attempt, row.outcome) for row in job.superseded_attempts]
    if job.status == "queued" or not job.claimed_at or _is_told(job, earlier):
        return earlier
    return [*earlier, _attempt(job, job.attempts, job.status)]


def timeline(job: WholeJob) -> list[Moment]:
    """Return the moments of a whole job, as `get_jobs` returns it, oldest first; what is to come is last."""
    moments = [Moment(job.created_at, "created", "Enqueued")]
    for attempt in attempts_of(job):
        moments += _moments(attempt)
    if job.status == "queued":
        moments.append(Moment(job.next_run_at, "next", "Due"))
    elif job.status == "cancelled" and not any(moment.kind == "cancelled" for moment in moments):
        moments.append(Moment(_known(job.finished_at), "cancelled", "Cancelled"))
    elif job.status == "running":
        moments.append(Moment(_known(job.lease_expires_at), "lease", "Lease ends unless it is renewed"))
    return _in_order(moments)


def _in_order(moments: list[Moment]) -> list[Moment]:
    """Return moments by time; one that cannot be read stays behind the one before it."""
    placed, last = [], datetime.min.replace(tzinfo=UTC)
    for moment in moments:
        last = moment.at if isinstance(moment.at, datetime) else last
        placed.append((last, moment))
    return [moment for _, moment in sorted(placed, key=lambda pair: pair[0])]


def _moments(attempt: JobAttempt) -> list[Moment]:
    moments = []
    if attempt.claimed_at:
        claimed = f"Attempt {attempt.number} claimed by {attempt.worker_id or 'a worker without a name'}"
        moments.append(Moment(attempt.claimed_at, "claimed", claimed))
    if attempt.finished_at and attempt.outcome != "running":
        title = _ENDS.get(attempt.outcome, f"Attempt {attempt.number} {attempt.outcome}").format(attempt=attempt.number)
        moments.append(Moment(attempt.finished_at, attempt.outcome, title, _note(attempt)))
    return moments


def _is_told(job: WholeJob, earlier: list[JobAttempt]) -> bool:
    """Whether the claim that the row still names is a superseded one, as after a crash or a cancel while queued."""
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
    return Unreadable("unreadable: there is no time") if time is None else time
