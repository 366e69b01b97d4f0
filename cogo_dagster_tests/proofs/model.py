"""The queue in a hundred lines of Python: what the engine must do, without SQL, clocks or other people's rows.

Time stands still here. A job is due or it waits, a lease holds or has expired; a test moves one to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ENDED: Final = ("succeeded", "failed", "cancelled")

MOST_SNOOZES: Final = 99
"""The snooze after this many is a failure."""


@dataclass
class ModelWorker:
    """A worker start; `started` are the prefetched jobs it said it runs."""

    instance_id: UUID
    executor_id: str | None
    started: set[UUID] = field(default_factory=set)


@dataclass
class ModelJob:
    """A job as it must be.

    Attributes:
        token: Of the attempt that runs or that ended the job; None while it waits and where nobody ended it.
        started: Whether its attempt runs, as opposed to waiting in the worker.
        claims: How many attempts ever began.
        lost: How many attempts in a row ended with their lease.
        superseded: How each attempt ended that did not end the job, by its token.
        said: What the attempt that ended the job said.
        reason: Why it is in the DLQ; None if it is not, or no more.
        retries: How often an operator put it back: each failure is another one.
        replayed: Whether its letter was replayed.
        purged: Whether only its letter is left.
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
        """An attempt begins and counts."""
        self.status, self.token, self.worker = "running", token, worker
        self.expired, self.started = False, not prefetch
        self.attempts += 1
        self.claims += 1

    def settle(self, token: UUID, outcome: str, *, retryable: bool = True, counted: bool = True) -> set[str]:
        """Who holds the lease ends the attempt; return what the engine may answer."""
        if self.purged:
            return {"job_not_found"}
        if self.status == "running" and self.token == token:
            self._end_attempt(token, outcome, retryable=retryable, counted=counted)
            return {"ok"}
        if self.token == token and self.said is not None:
            repeated = outcome == self.said
            harmless = "succeeded" not in (outcome, self.said)  # its own word against its own word: both are failures
            return {"ok"} if repeated else {"ok", "lease_lost"} if harmless else {"lease_lost"}
        released = "released" if outcome == "requeued" else outcome
        return {"ok"} if self.superseded.get(token) == released else {"lease_lost"}

    def renew(self, token: UUID) -> str:
        """Who holds the lease extends it; return the engine's answer."""
        if self.purged:
            return "job_not_found"
        if self.status != "running" or self.token != token:
            return "lease_lost"
        self.expired = False
        return "cancel_requested" if self.cancel_requested else "ok"

    def cancel(self) -> bool:
        """End a waiting job, ask a running one; return whether the engine accepts it."""
        if self.status in ("succeeded", "failed"):
            return False
        self.cancel_requested = self.cancel_requested or self.status != "cancelled"
        if self.status == "queued":
            self.status = "cancelled"
        return True

    @property
    def retryable(self) -> bool:
        """Whether an operator may put it back under its own id."""
        return self.status == "failed" and not self.replayed and not self.purged

    @property
    def replayable(self) -> bool:
        """Whether its letter is open, be it there or not."""
        return self.reason is not None and not self.replayed

    def retry(self, *, reset_attempts: bool) -> None:
        """Back into the queue; what ended it is history."""
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
        """The lease has expired: the attempt is lost, or given back if it never started."""
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
        worn_out = outcome == "snoozed" and counted and self.snoozes >= MOST_SNOOZES
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
    """Return the jobs that a claim must return, first one first."""
    fitting = [
        job
        for job in jobs
        if job.status == "queued" and job.due and job.family == family and job.executor_id in (None, worker.executor_id)
    ]
    return sorted(fitting, key=lambda job: (job.priority, job.executor_id is None, next_run_at[job.id]))
