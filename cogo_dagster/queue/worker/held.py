"""The jobs a worker holds a lease on, from claim to settlement, and why it lets go of one."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from cogo_dagster.queue.model import Job, Settlement
from cogo_dagster.queue.workspace import Workspace


class Abandonment(StrEnum):
    """Why a running execution is cancelled."""

    LEASE_LOST = "lease_lost"
    CANCEL_REQUESTED = "cancel_requested"
    STOPPING = "stopping"
    TIMEOUT = "timeout"


@dataclass(slots=True, eq=False)
class HeldJob:
    """A job between claim and settlement.

    Attributes:
        family: The job's, asked for often.
        lease_deadline: Monotonic second after which the lease may be somebody else's, as far as we know.
        prefetched: Claimed beyond the free slots: its start is recorded before it runs.
        task: The execution, while it runs.
        run_deadline: Monotonic second at which the execution is cancelled.
        abandoned: Why the execution was cancelled.
        abandoned_at: Monotonic second of the cancellation.
        given_up: The execution did not end after its cancellation: its outcome was settled without it.
        settlement: How the attempt ended; there once it has.
        workspace: Where the attempt's files are, once it has ended; None where it left none.
    """

    job: Job
    family: str
    lease_deadline: float
    prefetched: bool = False
    task: "asyncio.Task[None] | None" = None
    run_deadline: float = float("inf")
    abandoned: Abandonment | None = None
    abandoned_at: float = 0.0
    started: bool = False
    has_slot: bool = False
    given_up: bool = False
    settlement: Settlement = field(init=False)
    workspace: Workspace | None = None

    def abandon(self, why: Abandonment) -> None:
        """Cancel the execution; the first reason stands."""
        if self.abandoned is None:
            self.abandoned = why
            self.abandoned_at = time.monotonic()
            if self.task is not None:
                self.task.cancel()


@dataclass(slots=True)
class HeldJobs:
    """All jobs held by one worker. Changed in the worker's loop only; other threads may iterate."""

    _held: set[HeldJob] = field(default_factory=set)

    def add(self, job: Job, lease_deadline: float, *, prefetched: bool = False) -> HeldJob:
        """Hold a claimed job."""
        held = HeldJob(job, job.family, lease_deadline, prefetched)
        self._held.add(held)
        return held

    def release(self, held: HeldJob) -> None:
        """Let go of a job that is settled or lost."""
        self._held.discard(held)

    def overdue(self) -> list[HeldJob]:
        """Return the jobs whose lease may have expired by our own clock."""
        now = time.monotonic()
        return [held for held in self if held.lease_deadline <= now]

    def __iter__(self) -> Iterator[HeldJob]:
        # One bytecode-free step in C, since a HeldJob is hashed by identity: no other thread can come between.
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)
