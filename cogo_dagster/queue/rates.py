"""Rate limits of external services, shared by all workers: a token bucket and a circuit breaker per name."""

from dataclasses import dataclass
from datetime import datetime

from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.rows.rates import OpenedCircuit, RateGrant, RateLimitRow
from cogo_dagster.queue.transports.base import Transport


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate limit of a service.

    Attributes:
        name: The bucket's name, such as `alerts:slack`.
        capacity: Size of the bucket: the maximum burst of calls.
        refill_per_second: Tokens added per second.
    """

    name: str
    capacity: float
    refill_per_second: float


@dataclass(frozen=True, slots=True)
class Grant:
    """The reply to one request for tokens.

    Attributes:
        wait_seconds: Minimum time until the request can be granted; 0 if it was granted.
        open_until: When the circuit closes; None if it is closed.
        reason: Why the circuit is open.
    """

    granted: bool
    wait_seconds: float
    open_until: datetime | Unreadable | None = None
    reason: str | None = None


class RateLimits:
    """Acquires tokens and opens circuits. Thread-safe.

    Args:
        transport: The connection to the database.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def acquire(self, rate: Rate, cost: float = 1) -> Grant:
        """Request tokens for a call; a request that is not granted takes none."""
        arguments = {"name": rate.name, "capacity": rate.capacity, "refill_per_second": rate.refill_per_second}
        row = RateGrant.model_validate(self._transport.call("acquire_rate", arguments | {"cost": cost}))
        circuit = row.circuit
        return Grant(
            row.granted,
            row.wait_seconds,
            circuit.open_until if circuit else None,
            circuit.reason if circuit else None,
        )

    def open_circuit(self, name: str, open_seconds: float, reason: str) -> datetime | Unreadable:
        """Grant no calls for at most a year, or until a later end set before; return when the circuit closes."""
        seconds = min(max(open_seconds, 0), 31_536_000)
        arguments = {"name": name, "open_seconds": seconds, "reason": reason}
        return OpenedCircuit.model_validate(self._transport.call("open_circuit", arguments)).open_until

    def close_circuit(self, name: str) -> int:
        """Grant calls again, and return the number of snoozed jobs that became due by that."""
        due: int = self._transport.call("close_circuit", {"name": name})["due"]
        return due

    def open_circuits(self) -> list[RateLimitRow]:
        """Return every open circuit."""
        return read_list(RateLimitRow, self._transport.call("list_rate_limits", {"open_only": True}))
