"""What a worker tells whoever watches: the CLI's log, the Dagster ops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cogo_dagster.queue.model import Job, Json


class Stage(StrEnum):
    """The stages of the pipeline that end one after another."""

    CLAIM = "claim"
    EXECUTE = "execute"
    UPLOAD = "upload"


class EventKind(StrEnum):
    """What happened."""

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
    """One thing that happened.

    Attributes:
        sentence: Said as it is; without one, `message` is made of the kind and the data.
        data: Plain numbers and texts.
    """

    kind: EventKind
    stage: Stage
    job: Job | None = None
    data: Mapping[str, Json] = field(default_factory=dict)
    sentence: str = ""

    @property
    def message(self) -> str:
        """One sentence for people."""
        return self.sentence or _describe(self)


def _describe(event: WorkerEvent) -> str:
    """Put an event into words; done only for those who read them."""
    job, data = event.job, event.data
    name = f"{job.type} job {job.id}" if job else "The worker"
    match event.kind:
        case EventKind.CLAIMED:
            return f"Claimed {name}, attempt {job.attempts if job else 0}."
        case EventKind.EXECUTED:
            reason = f": {data['error']['message']}" if data["error"] else "."
            return f"{name} {data['outcome']} after {data['run_seconds']:.2f} s{reason}"
        case EventKind.UPLOADED:
            return f"Uploaded {len(data['artifacts'])} artifacts of {name}."
        case EventKind.SETTLED:
            return f"{name} is now {data['job_status']}."
        case _:
            return f"{name}: {event.kind.value}."


Observer = Callable[[WorkerEvent], None]
"""Called in the worker's event loop: must return at once and never raise."""


def ignore(event: WorkerEvent) -> None:
    """Watch nothing."""
