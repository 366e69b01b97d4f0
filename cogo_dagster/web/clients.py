"""Client address and scheme of a request behind a proxy.

X-Forwarded-For is used only if the sender is a proxy in COGO_WEB_TRUSTED_PROXIES: any other client can forge it.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_SITE_BITS: Final = 64
"""Prefix length of IPv6 clients: providers assign a /64 to one customer."""


class Forwarded:
    """Middleware that puts the client's address and scheme into the scope of each request.

    Args:
        trusted: Networks, such as `10.0.0.0/8`, whose X-Forwarded-For and X-Forwarded-Proto are used.
    """

    def __init__(self, app: ASGIApp, *, trusted: Iterable[str]) -> None:
        self._app = app
        self._trusted = tuple(ip_network(network, strict=False) for network in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and scope.get("client"):
            scope = {**scope, **self._seen(scope)}
        await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> dict[str, object]:
        headers, peer = Headers(scope=scope), address_of(scope["client"][0])
        if peer is None:
            return {}
        seen: dict[str, object] = {}
        trusted = _is_in(peer, self._trusted)
        if trusted:
            hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
            seen["client"] = (str(client_address(peer, hops, self._trusted)), 0)
        # The scheme grants no access, so a proxy on this machine need not be listed.
        if (trusted or peer.is_loopback) and headers.get("x-forwarded-proto", "").strip().lower() == "https":
            seen["scheme"] = "https"
        return seen


def client_address(peer: Address, hops: Sequence[str], trusted: Sequence[Network]) -> Address:
    """Return the nearest hop that is not a trusted proxy.

    Args:
        peer: Address of the connection, which is a trusted proxy.
        hops: X-Forwarded-For, the nearest hop last. The search ends at an entry that is not an address.
    """
    client = peer
    for hop in reversed(hops):
        found = address_of(hop)
        if found is None:
            break
        client = found
        if not _is_in(found, trusted):
            break
    return client


def address_of(text: str) -> Address | None:
    """Parse an address with or without a port: `10.0.0.1:80`, `[::1]:80`; None if it is invalid."""
    plain = text.strip()
    if plain.startswith("["):
        plain = plain[1:].partition("]")[0]
    elif plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        found = ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def client_key(host: str | None) -> str:
    """Return the key under which a client is counted: its IPv4 address, or its IPv6 network."""
    found = address_of(host or "")
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _SITE_BITS), strict=False))
    return str(found) if found else "unknown"


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
