"""Token buckets and circuit breakers of external services."""

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Time


class Circuit(Row):
    """An open circuit."""

    open_until: Time
    reason: str | None


class RateGrant(Row):
    """The result of a request for tokens; `wait_seconds` is 0 if it was granted."""

    granted: bool
    wait_seconds: float
    circuit: Circuit | None


class OpenedCircuit(Row):
    """A circuit that was opened."""

    name: str
    open_until: Time


class RateLimitRow(Row):
    """A token bucket with its circuit, if that is open."""

    name: str
    open_until: MaybeTime
    reason: str | None
