"""Events that a worker reports to its observer: the CLI's log, the Dagster ops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cogo_dagster.queue.model import Job, Json, Settlement


class Stage(StrEnum):
    """The stages of the pipeline, in the order in which they end."""

    CLAIM = "claim"
    EXECUTE = "execute"
    UPLOAD = "upload"


class EventKind(StrEnum):
    """What happened to a job or to the worker."""

    CLAIMED = "claimed"
    EXECUTED = "executed"
    UPLOADED = "uploaded"
    SETTLED = "settled"
    LEASE_LOST = "lease_lost"
    RECOVERED = "recovered"
    STAGE_FINISHED = "stage_finished"
    WARNING = "warning"


@dataclass(slots=True)
class WorkerEvent:
    """One event of a worker.

    Attributes:
        data: Plain numbers and strings.
        message: The message for a log.
    """

    kind: EventKind
    stage: Stage
    job: Job[Any] | None = None
    data: Mapping[str, Json] = field(default_factory=dict)
    message: str = ""


def claimed_message(job: Job[Any]) -> str:
    """Return the message for a claimed job."""
    return f"Claimed {job.type} job {job.id!s}, attempt {job.attempts}."


def executed_message(settlement: Settlement) -> str:
    """Return the message for an ended attempt."""
    job, error = settlement.job, settlement.error
    end = "." if error is None else f": {error.to_json()['message']}"
    return f"{job.type} job {job.id!s} {settlement.outcome.value} after {settlement.run_seconds or 0:.2f} s{end}"


def settled_message(settlement: Settlement, job_status: str | None) -> str:
    """Return the message for a settled attempt."""
    return f"{settlement.job.type} job {settlement.job.id!s} is now {job_status}."


def claimed_event(job: Job[Any]) -> WorkerEvent:
    """Return the event for a claimed job."""
    return WorkerEvent(EventKind.CLAIMED, Stage.CLAIM, job, message=claimed_message(job))


def executed_event(settlement: Settlement) -> WorkerEvent:
    """Return the event for an ended attempt."""
    data: dict[str, Json] = {
        "outcome": settlement.outcome.value,
        "run_seconds": settlement.run_seconds or 0.0,
        "error": settlement.error.to_json() if settlement.error else None,
    }
    return WorkerEvent(EventKind.EXECUTED, Stage.EXECUTE, settlement.job, data, executed_message(settlement))


def settled_event(settlement: Settlement, job_status: str | None) -> WorkerEvent:
    """Return the event for a settled attempt."""
    data: dict[str, Json] = {
        "outcome": settlement.outcome.value,
        "job_status": job_status,
        "run_seconds": settlement.run_seconds,
        "error": settlement.error.to_json() if settlement.error else None,
    }
    message = settled_message(settlement, job_status)
    return WorkerEvent(EventKind.SETTLED, Stage.UPLOAD, settlement.job, data, message)


SettledAttempt = tuple[Settlement, str | None]
"""A recorded attempt, and the status of its job afterwards."""


class Observer:
    """Receives what happens in a worker, in its event loop; this class ignores it.

    The methods must not block. What they raise is counted and ignored. The three frequent events of a job are passed
    as they are, because building a `WorkerEvent` for each would take a tenth of the time of a short job.
    """

    def event(self, event: WorkerEvent) -> None:
        """Receive an event that is not one of the following; from any thread."""

    def claimed(self, jobs: Sequence[Job[Any]]) -> None:
        """Receive the jobs of a claim."""

    def executed(self, settlement: Settlement) -> None:
        """Receive an ended attempt."""

    def settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Receive attempts that were settled in one call."""


class EventObserver(Observer):
    """Passes an event for each claimed, executed and settled job, and all other events, to a function."""

    def __init__(self, receive: Callable[[WorkerEvent], None]) -> None:
        self._receive = receive

    def event(self, event: WorkerEvent) -> None:
        """Pass the event."""
        self._receive(event)

    def claimed(self, jobs: Sequence[Job[Any]]) -> None:
        """Pass an event for each job."""
        for job in jobs:
            self._receive(claimed_event(job))

    def executed(self, settlement: Settlement) -> None:
        """Pass an event for the attempt."""
        self._receive(executed_event(settlement))

    def settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Pass an event for each attempt."""
        for settlement, job_status in attempts:
            self._receive(settled_event(settlement, job_status))
