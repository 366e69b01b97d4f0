"""Events that a worker reports to its observer: the CLI's log, the Dagster ops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cogo_dagster.queue.model import Job, Json


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


@dataclass(slots=True)  # not frozen: three are made for each job, and that would triple the time
class WorkerEvent:
    """One event of a worker.

    Attributes:
        text: The message, if it is not derived from the kind and the data.
        data: Plain numbers and strings.
    """

    kind: EventKind
    stage: Stage
    job: Job | None = None
    data: Mapping[str, Json] = field(default_factory=dict)
    text: str = ""

    @property
    def message(self) -> str:
        """The message for a log."""
        return self.text or _describe(self)


def _describe(event: WorkerEvent) -> str:
    """Format an event; called only when the message is read."""
    job = event.job
    name = f"{job.type} job {job.id}" if job else "The worker"
    describe = _DESCRIPTIONS.get(event.kind)
    return describe(name, event) if describe else f"{name}: {event.kind.value}."


def _describe_executed(name: str, event: WorkerEvent) -> str:
    data = event.data
    reason = f": {data['error']['message']}" if data["error"] else "."
    return f"{name} {data['outcome']} after {data['run_seconds']:.2f} s{reason}"


def _describe_uploaded(name: str, event: WorkerEvent) -> str:
    count = len(event.data["artifacts"])
    return f"Uploaded {count} {'artifact' if count == 1 else 'artifacts'} of {name}."


_DESCRIPTIONS: Final[Mapping[EventKind, Callable[[str, WorkerEvent], str]]] = {
    EventKind.CLAIMED: lambda name, event: f"Claimed {name}, attempt {event.job.attempts if event.job else 0}.",
    EventKind.EXECUTED: _describe_executed,
    EventKind.UPLOADED: _describe_uploaded,
    EventKind.SETTLED: lambda name, event: f"{name} is now {event.data['job_status']}.",
}
"""In Python 3.11 a comparison with each kind takes longer than the whole message."""


Observer = Callable[[WorkerEvent], None]
"""Called in the worker's event loop; must not block or raise."""


def ignore(event: WorkerEvent) -> None:
    """Ignore the event."""
