"""The jobs a worker holds a lease on, from claim to settlement, and why it lets go of one."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from cogo_dagster.queue.model import Job


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
        lease_deadline: Monotonic second after which the lease may be somebody else's, as far as we know.
        task: The execution, while it runs.
        abandoned: Why the execution was cancelled.
    """

    job: Job
    lease_deadline: float
    task: "asyncio.Task[None] | None" = None
    abandoned: Abandonment | None = None
    started: bool = False

    def abandon(self, why: Abandonment) -> None:
        """Cancel the execution; the first reason stands."""
        if self.abandoned is None:
            self.abandoned = why
            if self.task is not None:
                self.task.cancel()


@dataclass(slots=True)
class HeldJobs:
    """All jobs held by one worker. Used in the worker's loop only."""

    _held: set[HeldJob] = field(default_factory=set)

    def add(self, job: Job, lease_deadline: float) -> HeldJob:
        """Hold a claimed job."""
        held = HeldJob(job, lease_deadline)
        self._held.add(held)
        return held

    def release(self, held: HeldJob) -> None:
        """Let go of a job that is settled or lost."""
        self._held.discard(held)

    def overdue(self) -> list[HeldJob]:
        """Return the jobs whose lease may have expired by our own clock."""
        now = time.monotonic()
        return [held for held in self._held if held.lease_deadline <= now]

    def __iter__(self) -> Iterator[HeldJob]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)
