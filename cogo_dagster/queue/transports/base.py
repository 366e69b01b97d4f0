"""The interface by which all code calls the queue's SQL functions."""

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.model import Json, JsonValue

T = TypeVar("T")

Ended = Callable[[bytes | None, Exception | None], None]
"""Takes a reply as JSON, None for null; or the error of the call."""


class Transport(Protocol):
    """Calls SQL functions by name. Thread-safe."""

    def call(self, function: str, arguments: Mapping[str, object]) -> Json:
        """Call a function and return its JSON document.

        Args:
            arguments: By name; omitted ones get the function's defaults.

        Raises:
            QueueError: See `queue.errors`. After a TransportError the same call may be repeated.
        """
        ...

    def close(self) -> None:
        """Release the connections. No call may be made afterwards."""
        ...


class StartedCall(Protocol):
    """A call in progress whose reply the event loop reads."""

    def abandon(self) -> None:
        """End the call without its reply."""
        ...


@runtime_checkable
class LoopTransport(Protocol):
    """A transport that can make calls without a thread."""

    def start(self, function: str, arguments: Mapping[str, object], ended: Ended) -> StartedCall | None:
        """Start a call whose reply the running event loop reads; None if that is not possible now.

        It has no retries: after an error, the same call is to be made by `call`.

        Args:
            function: Returns JSON.
            arguments: By name.
            ended: Called later, in the loop, with the reply or the reason why there is none.
        """
        ...


class TypedCall(NamedTuple, Generic[T]):
    """A call of a function, and how its reply is read.

    Attributes:
        read: Returns what the reply means.
    """

    function: str
    arguments: Mapping[str, object]
    read: Callable[[Json], T]


def without_none(**arguments: JsonValue) -> dict[str, JsonValue]:
    """Return the arguments that are not None; for the others, the function uses its defaults."""
    return {name: value for name, value in arguments.items() if value is not None}


class NoDatabase:
    """A transport without a database: every call raises DatabaseUnavailable."""

    def call(self, function: str, arguments: Mapping[str, object]) -> Json:  # noqa: ARG002 - the protocol
        """Raise DatabaseUnavailable."""
        raise DatabaseUnavailable(f"There is no database to call {function} on.")

    def close(self) -> None:
        """Do nothing."""
