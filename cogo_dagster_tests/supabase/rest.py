"""The REST transport with its own stand-in, for tests of the queue rather than of the transport."""

from collections.abc import Mapping
from contextlib import ExitStack

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.supabase.server import StandIn, supabase


class RestTransport:
    """Calls the engine through a project that is closed with the transport.

    Attributes:
        stand_in: The project.
    """

    def __init__(self, dsn: str) -> None:
        self._stack = ExitStack()
        self.stand_in: StandIn = self._stack.enter_context(supabase(dsn))
        self._transport = SupabaseTransport(self.stand_in.project())
        self._stack.callback(self._transport.close)

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call one function."""
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Close the transport, then the project."""
        self._stack.close()
