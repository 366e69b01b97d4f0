"""The interface by which all code calls the queue's SQL functions."""

from collections.abc import Mapping
from typing import Protocol

from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.model import Json


class Transport(Protocol):
    """Calls SQL functions by name. Thread-safe."""

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call a function and return its JSON document.

        Args:
            arguments: By name; omitted ones get the function's defaults.

        Raises:
            QueueError: See `queue.errors`. After a TransportError the same call may be repeated.
        """
        ...

    def close(self) -> None:
        """Release the connections. No call may follow."""
        ...


class NoDatabase:
    """A transport without a database: every call raises DatabaseUnavailable."""

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:  # noqa: ARG002 - the protocol
        """Raise DatabaseUnavailable."""
        raise DatabaseUnavailable(f"There is no database to call {function} on.")

    def close(self) -> None:
        """Do nothing."""
