"""What the worker asks of an executor: the protocol, and the ways an execution can end without success."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.workspace import Workspace as Workspace  # noqa: PLC0414 - a part of the protocol


class InvalidPayload(ValueError):
    """The payload cannot be run; the message is one sentence that says what to correct."""


class ExecutionFailed(Exception):
    """The attempt failed for a known reason.

    Args:
        message: One sentence, without secrets.
        error_class: Short stable name for grouping (`timeout`, `dns`, `http_status`).
        retryable: False sends the job to the DLQ at once.
        delay_seconds: The least wait before the next attempt, as a server's Retry-After asked.
        artifacts: What is worth keeping of the failure, such as a trace.
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        retryable: bool,
        delay_seconds: float | None = None,
        artifacts: Sequence[ArtifactFile] = (),
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_class = error_class
        self.retryable = retryable
        self.delay_seconds = delay_seconds
        self.artifacts = artifacts
        self.detail = detail


class Snooze(Exception):
    """Run the job again in `delay_seconds` without consuming the attempt (a rate limit's Retry-After).

    Args:
        reason: One sentence, without secrets.
        delay_seconds: How long.
        artifacts: What is done already, so that the next attempt can go on from there.
    """

    def __init__(self, reason: str, *, delay_seconds: float, artifacts: Sequence[ArtifactFile] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_seconds = delay_seconds
        self.artifacts = artifacts


class Interrupted(Exception):
    """The attempt was interrupted by the worker's own stop: requeue with refund, never a job failure.

    A stop signal to a process group or cgroup also ends what an executor has started. An executor raises this where
    such an end, by `stopping.STOP`, belongs to the stop; a gate run that ended so is not recorded.
    """


ReportPaths = Path | Sequence[Path | Sequence[Path]]
"""The files of one report. A sequence inside the sequence is what a folder or a pattern stood for: files of other
formats among them are passed over."""


@dataclass(frozen=True, slots=True)
class ExecutorPorts:
    """What an executor may use of the system around it.

    Attributes:
        transport: To the engine's functions; blocking, so call it in a thread.
        store: Where artifacts' bytes are; blocking too.
        announce: Tells people something by every alert target; None where nothing does.
        record_gate: Reads reports and records a gate run; blocking. Takes the run and its reports by kind.
        weekly: Keeps a week and its chart; blocking. Takes the week, returns what `announce` takes by name.
    """

    transport: Transport
    store: ArtifactStore
    announce: Callable[..., object] | None = None
    record_gate: Callable[[Mapping[str, Json], Mapping[str, ReportPaths]], Json] | None = None
    weekly: Callable[[str], Mapping[str, Json]] | None = None


class Executor(Protocol):
    """Runs one family of types inside the worker's asyncio loop.

    Two more are optional: a method `use(ports: ExecutorPorts)`, called before `start`; and an attribute
    `lacks: str | None`, the setting without which this machine leaves the family's jobs to other workers.

    Attributes:
        family: The types it runs: `family` itself and `family.anything`.
        slots: Jobs at once in one process; None means the worker's concurrency.
        prefetch: Jobs to claim beyond the free slots; 0 for heavy work.
    """

    family: str
    slots: int | None
    prefetch: int

    def validate(self, type: str, payload: Json) -> dict[str, Json]:
        """Return the payload as it will be stored, checked. Called at enqueue and before execution.

        Raises:
            InvalidPayload: One sentence that says what to correct.
        """
        ...

    async def start(self) -> None:
        """Acquire what all executions share (a browser). Called once, before the first execution."""
        ...

    async def stop(self) -> None:
        """Release everything. Bounded in time; called once, also after a failed start."""
        ...

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Run one attempt.

        Cancellation (`asyncio.CancelledError`) means the lease is lost or the worker stops: clean up and re-raise.

        Raises:
            ExecutionFailed: The attempt failed, retryable or not.
            Snooze: Try later, attempt not consumed.
            Interrupted: The worker's stop ended what the attempt had started.
        """
        ...
