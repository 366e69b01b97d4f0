"""Events that a worker reports to its observer: the CLI's log, the Dagster ops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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
    job, data = event.job, event.data
    name = f"{job.type} job {job.id}" if job else "The worker"
    match event.kind:
        case EventKind.CLAIMED:
            return f"Claimed {name}, attempt {job.attempts if job else 0}."
        case EventKind.EXECUTED:
            reason = f": {data['error']['message']}" if data["error"] else "."
            return f"{name} {data['outcome']} after {data['run_seconds']:.2f} s{reason}"
        case EventKind.UPLOADED:
            count = len(data["artifacts"])
            return f"Uploaded {count} {'artifact' if count == 1 else 'artifacts'} of {name}."
        case EventKind.SETTLED:
            return f"{name} is now {data['job_status']}."
        case _:
            return f"{name}: {event.kind.value}."


Observer = Callable[[WorkerEvent], None]
"""Called in the worker's event loop; must not block or raise."""


def ignore(event: WorkerEvent) -> None:
    """Ignore the event."""
