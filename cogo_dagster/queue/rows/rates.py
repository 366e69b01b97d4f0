"""Buckets of tokens and circuits of outside services."""

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Time


class Circuit(Row):
    """A circuit that is open."""

    open_until: Time
    reason: str | None


class RateGrant(Row):
    """The answer to one wish; `wait_seconds` is 0 when it is granted."""

    granted: bool
    wait_seconds: float
    circuit: Circuit | None


class OpenedCircuit(Row):
    """A circuit after it was opened."""

    name: str
    open_until: Time


class RateLimitRow(Row):
    """A bucket by its name, with its circuit where that is open."""

    name: str
    open_until: MaybeTime
    reason: str | None
