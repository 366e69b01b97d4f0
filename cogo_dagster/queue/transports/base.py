"""The interface by which all code calls the queue's SQL functions."""

from collections.abc import Mapping
from typing import Protocol

from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.model import Json, JsonValue


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
