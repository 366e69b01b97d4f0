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


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """One thing that happened; `data` are plain numbers and texts, `message` is one sentence."""

    kind: EventKind
    stage: Stage
    message: str
    job: Job | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


Observer = Callable[[WorkerEvent], None]
"""Called in the worker's event loop: must return at once and never raise."""


def ignore(event: WorkerEvent) -> None:
    """Watch nothing."""
