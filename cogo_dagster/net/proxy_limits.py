"""What one forward proxy allows its clients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Bounds of one proxy.

    Attributes:
        connections: Clients at once; one more is hung up on.
        head_bytes: Longest request head.
        head_seconds: Longest time for a request head to arrive.
        idle_seconds: Longest silence in both directions of an open connection.
    """

    connections: int = 512
    head_bytes: int = 64 * 1024
    head_seconds: float = 30
    idle_seconds: float = 120
