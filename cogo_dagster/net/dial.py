"""Connects to a host after checking all its addresses, and only to checked addresses.

The name is resolved once, which prevents DNS rebinding: a second lookup could return other addresses.
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
"""Returns the addresses of a host name; raises OSError if there are none."""

P = TypeVar("P", bound=asyncio.Protocol)


class HopFailed(Exception):
    """A connection was blocked or failed.

    Attributes:
        kind: `blocked_address`, `invalid_url`, `dns`, `timeout`, `connection`, `not_http` or `headers`.
        authority: The requested host:port.
        message: The reason, as one sentence.
    """

    def __init__(self, kind: str, authority: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.authority = authority
        self.message = message


async def system_resolver(host: str) -> list[str]:
    """Resolve a name by the resolver of the system, in a thread."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections to checked addresses.

    Attributes:
        allowed: Hosts that may have private addresses.
        resolver: Resolves names.
        connect_seconds: Timeout of the lookup, and of the connection.
    """

    allowed: AllowList = field(default_factory=AllowList)
    resolver: Resolver = system_resolver
    connect_seconds: float = 10

    async def connect(self, host: str, port: int, protocol: Callable[[], P]) -> P:
        """Resolve, check and connect; return the protocol of the open connection.

        Raises:
            HopFailed: The address is blocked, or the host is unreachable.
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
            raise HopFailed("dns", authority, f"The DNS lookup of {host} timed out.") from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise HopFailed("dns", authority, f"{host} could not be resolved ({reason}).") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(text.partition("%")[0]) for text in found))
        if not addresses:
            raise HopFailed("dns", authority, f"{host} has no address.")
        return addresses

    async def _open(self, addresses: Sequence[IPAddress], port: int, authority: str, protocol: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        reason = "no address responded"
        try:
            async with asyncio.timeout(self.connect_seconds):
                for address in addresses:
                    try:
                        return (await loop.create_connection(protocol, str(address), port))[1]
                    except OSError as error:
                        reason = error.strerror or str(error)
        except TimeoutError:
            raise HopFailed("timeout", authority, f"Connecting to {authority} timed out.") from None
        raise HopFailed("connection", authority, f"{authority} could not be reached ({reason}).")
