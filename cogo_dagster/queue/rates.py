"""What outside services allow, kept in the database for all workers: a bucket of tokens and a circuit by name."""

from dataclasses import dataclass
from datetime import datetime

from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.rows.rates import OpenedCircuit, RateGrant, RateLimitRow
from cogo_dagster.queue.transports.base import Transport


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls a service allows.

    Attributes:
        name: The bucket's name, such as `alerts:slack`.
        capacity: Calls that may come at once.
        refill_per_second: Calls that come back in a second.
    """

    name: str
    capacity: float
    refill_per_second: float


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to one wish.

    Attributes:
        wait_seconds: The least time until it can be granted; 0 if it is.
        open_until: Until when the circuit is open; None when it is closed.
        reason: Why it is open.
    """

    granted: bool
    wait_seconds: float
    open_until: datetime | Unreadable | None = None
    reason: str | None = None


class RateLimits:
    """Asks for calls and opens circuits. Safe to use from several threads.

    Args:
        transport: To the database.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def acquire(self, rate: Rate, cost: float = 1) -> Grant:
        """Ask for a call; one that is not granted took nothing."""
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
        """Grant no call for so long, at most a year; a circuit that is open longer stays so. Return until when."""
        seconds = min(max(open_seconds, 0), 31_536_000)
        given = {"name": name, "open_seconds": seconds, "reason": reason}
        return OpenedCircuit.model_validate(self._transport.call("open_circuit", given)).open_until

    def close_circuit(self, name: str) -> None:
        """Grant calls again."""
        self._transport.call("close_circuit", {"name": name})

    def open_circuits(self) -> list[RateLimitRow]:
        """Return every open circuit."""
        return read_list(RateLimitRow, self._transport.call("list_rate_limits", {"open_only": True}))
