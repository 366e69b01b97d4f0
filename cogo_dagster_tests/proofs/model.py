"""The queue in a hundred lines of Python: its behaviour without SQL, clocks or concurrency.

There is no time: a job is due or waits, a lease is valid or expired; a test changes one to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ENDED: Final = ("succeeded", "failed", "cancelled")

MAX_SNOOZES: Final = 99
"""The next snooze is a failure."""


@dataclass
class ModelWorker:
    """A worker; `started` are the prefetched jobs that it has started."""

    instance_id: UUID
    executor_id: str | None
    started: set[UUID] = field(default_factory=set)


@dataclass
class ModelJob:
    """The expected state of a job.

    Attributes:
        token: Token of the running or the final attempt; None while the job waits, and if it ended without one.
        started: Whether the attempt runs, as opposed to waiting in the worker.
        claims: Number of attempts that began.
        lost: Number of attempts lost in a row.
        superseded: Outcomes of earlier attempts, by token.
        said: Outcome that the final attempt was settled with.
        reason: Why it was dead-lettered; None if it is not, or no longer.
        retries: Number of retries by operators, each after another failure.
        replayed: Whether its DLQ row was replayed.
        purged: Whether only its DLQ row is left.
    """

    id: UUID
    family: str
    priority: int
    executor_id: str | None
    max_attempts: int
    status: Status = "queued"
    due: bool = True
    attempts: int = 0
    snoozes: int = 0
    cancel_requested: bool = False
    token: UUID | None = None
    expired: bool = False
    started: bool = False
    worker: ModelWorker | None = None
    claims: int = 0
    lost: int = 0
    superseded: dict[UUID, str] = field(default_factory=dict)
    said: str | None = None
    reason: str | None = None
    retries: int = 0
    replayed: bool = False
    purged: bool = False

    def claim(self, worker: ModelWorker, token: UUID, *, prefetch: bool) -> None:
        """Begin and count an attempt."""
        self.status, self.token, self.worker = "running", token, worker
        self.expired, self.started = False, not prefetch
        self.attempts += 1
        self.claims += 1

    def settle(self, token: UUID, outcome: str, *, retryable: bool = True, counted: bool = True) -> set[str]:
        """Settle as the holder of a token; return the possible results."""
        if self.purged:
            return {"job_not_found"}
        if self.status == "running" and self.token == token:
            self._end_attempt(token, outcome, retryable=retryable, counted=counted)
            return {"ok"}
        if self.token == token and self.said is not None:
            repeated = outcome == self.said
            harmless = "succeeded" not in (outcome, self.said)  # both outcomes are of one attempt, and failures
            return {"ok"} if repeated else {"ok", "lease_lost"} if harmless else {"lease_lost"}
        released = "released" if outcome == "requeued" else outcome
        return {"ok"} if self.superseded.get(token) == released else {"lease_lost"}

    def renew(self, token: UUID) -> str:
        """Renew as the holder of a token; return the result."""
        if self.purged:
            return "job_not_found"
        if self.status != "running" or self.token != token:
            return "lease_lost"
        self.expired = False
        return "cancel_requested" if self.cancel_requested else "ok"

    def cancel(self) -> bool:
        """Cancel a waiting job, or request it of a running one; return whether that is accepted."""
        if self.status in ("succeeded", "failed"):
            return False
        self.cancel_requested = self.cancel_requested or self.status != "cancelled"
        if self.status == "queued":
            self.status = "cancelled"
        return True

    @property
    def retryable(self) -> bool:
        """Whether an operator may retry it."""
        return self.status == "failed" and not self.replayed and not self.purged

    @property
    def replayable(self) -> bool:
        """Whether its DLQ row is open, whether or not the job exists."""
        return self.reason is not None and not self.replayed

    def retry(self, *, reset_attempts: bool) -> None:
        """Requeue it; its failed attempt becomes history."""
        if self.token is not None:
            assert self.said is not None
            self.superseded[self.token] = self.said
        self.status, self.due, self.token = "queued", True, None
        self.said = self.reason = None
        self.snoozes, self.retries, self.cancel_requested = 0, self.retries + 1, False
        if reset_attempts:
            self.attempts = 0
        else:
            self.max_attempts = max(self.max_attempts, self.attempts + 1)

    def recover(self) -> None:
        """Recover the expired lease: the attempt is lost, or not counted if it never started."""
        assert self.token is not None
        assert self.worker is not None
        untouched = not self.started and self.id not in self.worker.started
        self.superseded[self.token] = "released" if untouched else "lost"
        self.token = None
        self.lost += not untouched
        if self.cancel_requested:
            self.status = "cancelled"
        elif untouched:
            self._wait(due=True, give_back=True)
        elif self.attempts >= self.max_attempts:
            self.status, self.reason = "failed", "crashed"
        else:
            self._wait(due=True, give_back=False)

    def _end_attempt(self, token: UUID, outcome: str, *, retryable: bool, counted: bool) -> None:
        exhausted = self.attempts >= self.max_attempts
        worn_out = outcome == "snoozed" and counted and self.snoozes >= MAX_SNOOZES
        self.snoozes += outcome == "snoozed" and counted
        self.lost = self.lost if outcome == "requeued" else 0
        if outcome == "succeeded":
            self.status, self.said = "succeeded", outcome
        elif outcome == "cancelled" or self.cancel_requested:
            self.status, self.said = "cancelled", outcome
        elif worn_out or (outcome == "failed" and (exhausted or not retryable)):
            self.status, self.said = "failed", outcome
            self.reason = "snoozed_too_often" if worn_out else "out_of_attempts" if exhausted else "permanent"
        else:
            self.superseded[token] = "released" if outcome == "requeued" else outcome
            self.token = None
            self._wait(due=outcome == "requeued", give_back=outcome != "failed")

    def _wait(self, *, due: bool, give_back: bool) -> None:
        self.status, self.due = "queued", due
        self.attempts -= give_back


def claimable(
    jobs: Sequence[ModelJob], family: str, worker: ModelWorker, next_run_at: dict[UUID, datetime]
) -> list[ModelJob]:
    """Return the jobs that a claim must return, in order."""
    fitting = [
        job
        for job in jobs
        if job.status == "queued" and job.due and job.family == family and job.executor_id in (None, worker.executor_id)
    ]
    return sorted(fitting, key=lambda job: (job.priority, job.executor_id is None, next_run_at[job.id]))
