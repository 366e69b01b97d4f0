"""What the worker asks of an executor: the base class, and the ways an execution can end without success."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Final, Self, TypeVar

from pydantic import BaseModel, ValidationError

from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import NoDatabase
from cogo_dagster.queue.workspace import Workspace as Workspace  # noqa: PLC0414 - executors are given one
from cogo_dagster.settings import Settings
from cogo_dagster.validation import validation_messages

_Model = TypeVar("_Model", bound=BaseModel)


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


@dataclass(frozen=True, slots=True)
class ExecutorContext:
    """What an executor may use of the system around it, given when it is built.

    Attributes:
        queue: The engine's client; blocking, so call it in a thread.
        store: Where artifacts' bytes are; blocking too.
    """

    settings: Settings
    queue: Queue
    store: ArtifactStore

    @classmethod
    def offline(cls, settings: Settings) -> Self:
        """Return a context without a database: executors can be built with it, and every call of its queue fails."""
        return cls(settings, Queue(NoDatabase()), FolderStore(settings.home / "artifacts"))


class Executor(ABC):
    """Runs one family of types inside the worker's asyncio loop.

    A subclass names its family as a class keyword: `class Words(Executor, family="words")`.

    Attributes:
        family: The types it runs: `family` itself and `family.anything`.
        payload: The model of the family's payloads. Payloads are checked by it at enqueue, and the job's payload is an
            instance of it in `execute`. None takes every JSON object as it is.
        slots: Jobs at once in one process; None means the worker's concurrency.
        prefetch: Jobs to claim beyond the free slots; 0 for heavy work.
        makes_artifacts: Whether jobs may leave files. False lets them be claimed while the artifact store is away.
    """

    family: str = ""
    payload: ClassVar[type[BaseModel] | None] = None
    slots: int | None = None
    prefetch: int = 0
    makes_artifacts: bool = True

    def __init_subclass__(cls, *, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            if not family or "." in family:
                raise TypeError(f"{family!r} is no family of types: it is the part of a type before the first dot.")
            cls.family = family

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:  # noqa: ARG003 - for subclasses that need it
        """Make the executor; nothing starts yet, and the database is not called.

        Raises:
            ExecutorUnavailable: A setting is wrong; one sentence that says what to correct.
        """
        return cls()

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:  # noqa: ARG003 - as above
        """Return the payload as it will be stored, checked. Called at enqueue, without an executor.

        Raises:
            InvalidPayload: One sentence that says what to correct.
        """
        if cls.payload is None:
            return dict(_object(payload))
        return parse_model(cls.payload, payload).model_dump(mode="json", exclude_unset=True)

    @property
    def lacks(self) -> str | None:
        """The setting without which this machine leaves the family's jobs to other workers."""
        return None

    def parse(self, type: str, payload: Json) -> Any:  # noqa: ARG002 - as above
        """Return what `execute` gets as the job's payload. Called once, before it.

        Raises:
            InvalidPayload: The payload was not checked at enqueue, or under other settings.
        """
        return payload if self.payload is None else parse_model(self.payload, payload)

    async def start(self) -> None:  # noqa: B027 - most executors share nothing
        """Acquire what all executions share (a browser). Called once, before the first execution.

        Raises:
            ExecutorUnavailable: This machine cannot run the family; the worker does not start.
        """

    async def stop(self) -> None:  # noqa: B027 - as above
        """Release everything. Bounded in time; called once, also after a failed start."""

    @abstractmethod
    async def execute(self, job: Job[Any], workspace: Workspace) -> ExecutionResult:
        """Run one attempt.

        Cancellation (`asyncio.CancelledError`) means the lease is lost or the worker stops: clean up and re-raise.

        Raises:
            ExecutionFailed: The attempt failed, retryable or not.
            Snooze: Try later, attempt not consumed.
            Interrupted: The worker's stop ended what the attempt had started.
        """


def parse_model(model: type[_Model], payload: Json) -> _Model:
    """Read a payload.

    Raises:
        InvalidPayload: One sentence for each of the first five mistakes.
    """
    try:
        return model.model_validate(_object(payload))
    except ValidationError as error:
        raise InvalidPayload(validation_messages(error)) from None


def _object(payload: Json) -> Mapping[str, Json]:
    if not isinstance(payload, Mapping):
        given = _JSON_NAMES.get(type(payload), "no JSON")
        raise InvalidPayload(f"The payload must be a JSON object, but it is {given}.")
    return payload


_JSON_NAMES: Final = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    NoneType: "null",
}
