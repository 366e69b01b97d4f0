"""One call of the engine, as all methods of the client make it."""

from cogo_dagster.queue.fault_points import reach
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport


class Calls:
    """Calls SQL functions by name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def transport(self) -> Transport:
        """What calls the SQL functions."""
        return self._transport

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def _call(self, function: str, **arguments: Json) -> Json:
        reach("before", function)
        answer = self._transport.call(function, arguments)
        reach("after", function)
        return answer

    def _list(self, function: str, **filters: Json) -> Json:
        """Call a function that lists; a filter that is None is left out."""
        return self._call(function, **{name: value for name, value in filters.items() if value is not None})
