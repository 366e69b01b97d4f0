"""The base class of executors, and the exceptions by which an execution ends without success."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Final, Self, TypeVar

from pydantic import BaseModel, ValidationError

from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import NoDatabase
from cogo_dagster.queue.workspace import Workspace as Workspace  # noqa: PLC0414 - re-exported for executors
from cogo_dagster.settings import Settings
from cogo_dagster.validation import validation_messages

_Model = TypeVar("_Model", bound=BaseModel)


class InvalidPayload(ValueError):
    """The payload is invalid; the message states what to correct.

    Args:
        field: The key of the invalid value, if there is only one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ExecutionFailed(Exception):
    """The attempt failed for a known reason.

    Args:
        message: A message without secrets.
        error_class: Short stable name for grouping (`timeout`, `dns`, `http_status`).
        retryable: False dead-letters the job immediately.
        delay_seconds: Minimum delay before the next attempt, for example from a Retry-After header.
        artifacts: Files to keep with the failure, such as a trace.
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
    """Run the job again in `delay_seconds` without counting the attempt (for example, a Retry-After of a rate limit).

    Args:
        reason: A message without secrets.
        delay_seconds: The delay.
        artifacts: Partial results, so that the next attempt can continue from there.
    """

    def __init__(self, reason: str, *, delay_seconds: float, artifacts: Sequence[ArtifactFile] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_seconds = delay_seconds
        self.artifacts = artifacts


class Interrupted(Exception):
    """The attempt was interrupted by the worker's own stop: it is requeued and not counted.

    A stop signal to a process group or cgroup also ends the child processes of an executor. An executor raises this if
    `stopping.STOP` attributes the end of a child to the stop; an interrupted gate run is not recorded.
    """


@dataclass(frozen=True, slots=True)
class ExecutorContext:
    """The objects with which an executor is built.

    Attributes:
        queue: The queue's client; blocking, so call it in a thread.
        store: The artifact store; blocking too.
    """

    settings: Settings
    queue: Queue
    store: ArtifactStore

    @classmethod
    def offline(cls, settings: Settings) -> Self:
        """Return a context without a database: executors can be built with it, and every call of its queue raises."""
        return cls(settings, Queue(NoDatabase()), FolderStore(settings.home / "artifacts"))


class Executor(ABC):
    """Runs one family of types in the worker's asyncio loop.

    A subclass names its family as a class keyword: `class Words(Executor, family="words")`.

    Attributes:
        family: The types it runs: `family` itself and `family.anything`.
        types: The types that it runs, for forms; by default only the type with the name of the family.
        payload: The model of the payloads. It validates payloads at enqueue, and `execute` gets an instance of it. None
            accepts every JSON object unchanged.
        slots: Maximum number of concurrent jobs in one process; None means the worker's concurrency.
        prefetch: Jobs to claim beyond the free slots; 0 for heavy work.
        makes_artifacts: Whether jobs may produce artifacts. If False, they are claimed while the artifact store is
            unreachable too.
    """

    family: str = ""
    types: ClassVar[tuple[str, ...]] = ()
    payload: ClassVar[type[BaseModel] | None] = None
    slots: int | None = None
    prefetch: int = 0
    makes_artifacts: bool = True

    def __init_subclass__(cls, *, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            if not family or "." in family:
                raise TypeError(f"{family!r} is not a family: a family is the part of a type before the first dot.")
            cls.family = family

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:  # noqa: ARG003 - for subclasses that need it
        """Create the executor without starting anything or calling the database.

        Raises:
            ExecutorUnavailable: A setting is wrong; the message states what to correct.
        """
        return cls()

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:  # noqa: ARG003 - as above
        """Return the validated payload as it will be stored. Called at enqueue, without an executor.

        Raises:
            InvalidPayload: The payload is invalid; the message states what to correct.
        """
        if cls.payload is None:
            return dict(_object(payload))
        return parse_model(cls.payload, payload).model_dump(mode="json", exclude_unset=True)

    @classmethod
    def validator(cls, type: str, settings: Settings) -> Callable[[Json], dict[str, Json]]:
        """Return `validate` for many payloads of a type; override it if that can be faster than one by one."""
        return lambda payload: cls.validate(type, payload, settings)

    @classmethod
    def payload_model(cls, type: str) -> type[BaseModel] | None:  # noqa: ARG003 - for executors of several types
        """Return the model of the payloads of a type, from which forms are generated; None if there is none."""
        return cls.payload

    @property
    def lacks(self) -> str | None:
        """The missing setting because of which this worker does not claim the family's jobs."""
        return None

    def parse(self, type: str, payload: Json) -> Any:  # noqa: ARG002 - as above
        """Return the payload for `execute`. Called once, before it.

        Raises:
            InvalidPayload: The payload was not validated at enqueue, or was validated under other settings.
        """
        return payload if self.payload is None else parse_model(self.payload, payload)

    async def start(self) -> None:  # noqa: B027 - most executors share nothing
        """Acquire resources that all executions share (a browser). Called once, before the first execution.

        Raises:
            ExecutorUnavailable: This machine cannot run the family; the worker does not start.
        """

    async def stop(self) -> None:  # noqa: B027 - as above
        """Release all resources within a limited time. Called once, also after a failed start."""

    @abstractmethod
    async def execute(self, job: Job[Any], workspace: Workspace) -> ExecutionResult:
        """Run one attempt.

        Cancellation (`asyncio.CancelledError`) means that the lease is lost or the worker stops: clean up and re-raise.

        Raises:
            ExecutionFailed: The attempt failed, retryable or not.
            Snooze: Run the job later, without counting the attempt.
            Interrupted: The worker's stop ended a child process of the attempt.
        """


def parse_model(model: type[_Model], payload: Json) -> _Model:
    """Validate a payload.

    Raises:
        InvalidPayload: The payload is invalid; the message has the first five errors.
    """
    try:
        return model.model_validate(_object(payload))
    except ValidationError as error:
        raise InvalidPayload(validation_messages(error)) from None


def _object(payload: Json) -> Mapping[str, Json]:
    if not isinstance(payload, Mapping):
        kind = _JSON_NAMES.get(type(payload), "not JSON")
        raise InvalidPayload(f"The payload must be a JSON object, but it is {kind}.")
    return payload


_JSON_NAMES: Final = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    NoneType: "null",
}
