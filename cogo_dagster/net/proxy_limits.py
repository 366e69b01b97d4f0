"""Limits of a forward proxy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Limits of a forward proxy.

    Attributes:
        connections: Maximum number of client connections; more are closed.
        head_bytes: Maximum size of a request head.
        head_seconds: Timeout for receiving a request head.
        idle_seconds: Timeout of a connection without data in both directions.
    """

    connections: int = 512
    head_bytes: int = 64 * 1024
    head_seconds: float = 30
    idle_seconds: float = 120
