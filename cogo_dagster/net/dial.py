"""Connect to a host by name, but only after every address of it was checked, and to one that was checked.

Looking a name up once and connecting to that answer is what defeats DNS rebinding: a second lookup could differ.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cogo_dagster.net.addresses import (
    AllowList,
    BlockedAddress,
    InvalidAddress,
    IPAddress,
    join_host_port,
    normal_host,
    parse_address,
)

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""From a host name to its addresses; raises OSError where it has none."""

P = TypeVar("P", bound=asyncio.Protocol)


class HopFailed(Exception):
    """No connection was made.

    Attributes:
        kind: `blocked_address`, `invalid_url`, `dns`, `timeout`, `connection`, `not_http` or `headers`.
        authority: The host:port that was asked for.
        sentence: Why, as one sentence.
    """

    def __init__(self, kind: str, authority: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.authority = authority
        self.sentence = sentence


async def system_resolver(host: str) -> list[str]:
    """Ask the system's resolver, in a thread."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens checked connections.

    Attributes:
        allowed: Hosts that may be private.
        connect_seconds: Longest wait for the lookup, and again for the connection.
    """

    allowed: AllowList = field(default_factory=AllowList)
    resolver: Resolver = system_resolver
    connect_seconds: float = 10

    async def connect(self, host: str, port: int, protocol: Callable[[], P]) -> P:
        """Resolve, check and connect; return the protocol of the open connection.

        Raises:
            HopFailed: Refused by the address rules, or not reachable.
        """
        authority = join_host_port(host, port)
        try:
            host = normal_host(host)
            addresses = await self._resolve(host, authority)
            self.allowed.check(host, port, addresses)
        except InvalidAddress as error:
            raise HopFailed("invalid_url", authority, str(error)) from None
        except BlockedAddress as error:
            raise HopFailed("blocked_address", authority, str(error)) from None
        return await self._open(addresses, port, authority, protocol)

    async def _resolve(self, host: str, authority: str) -> list[IPAddress]:
        literal = parse_address(host)
        if literal is not None:
            return [literal]
        try:
            async with asyncio.timeout(self.connect_seconds):
                found = await self.resolver(host)
        except TimeoutError:
            raise HopFailed("dns", authority, f"Looking up {host} took too long.") from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise HopFailed("dns", authority, f"{host} could not be resolved ({reason}).") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(text.partition("%")[0]) for text in found))
        if not addresses:
            raise HopFailed("dns", authority, f"{host} has no address.")
        return addresses

    async def _open(self, addresses: Sequence[IPAddress], port: int, authority: str, protocol: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        reason = "no address answered"
        try:
            async with asyncio.timeout(self.connect_seconds):
                for address in addresses:
                    try:
                        return (await loop.create_connection(protocol, str(address), port))[1]
                    except OSError as error:
                        reason = error.strerror or str(error)
        except TimeoutError:
            raise HopFailed("timeout", authority, f"Connecting to {authority} took too long.") from None
        raise HopFailed("connection", authority, f"{authority} could not be reached ({reason}).")
