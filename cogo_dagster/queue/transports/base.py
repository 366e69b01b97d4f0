"""The narrow waist: everything the project asks of the engine goes through one method."""

from collections.abc import Mapping
from typing import Protocol

from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.model import Json


class Transport(Protocol):
    """Calls SQL functions by name. Safe to use from several threads."""

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call one function of the catalogue and return its JSON document.

        Args:
            arguments: By name; those left out take the function's defaults.

        Raises:
            QueueError: See `queue.errors`. After a TransportError the call may be repeated as it was.
        """
        ...

    def close(self) -> None:
        """Release connections. Calling afterwards is an error."""
        ...


def without_none(**arguments: Json) -> dict[str, Json]:
    """Return the arguments that are not None: of the others the function takes its defaults."""
    return {name: value for name, value in arguments.items() if value is not None}


class NoDatabase:
    """A transport to nowhere: every call raises DatabaseUnavailable."""

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:  # noqa: ARG002 - the protocol
        """Refuse."""
        raise DatabaseUnavailable(f"There is no database to call {function} on.")

    def close(self) -> None:
        """There is nothing to close."""
