"""Requests to a forward proxy: plain HTTP in absolute form, or a tunnel."""

import re
from dataclasses import dataclass
from typing import Final, Self

from cogo_dagster.net.addresses import InvalidAddress, join_host_port, split_host_port
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.http_head import BadHead, Head, plain_length

_REQUEST_LINE: Final = re.compile(r"([A-Za-z]+) ([^\x00-\x20\x7f]+) ([^\x00-\x20\x7f]+)")
_HTTP_TARGET: Final = re.compile(r"http://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        authority: `host:port`.
        head: The head for the server; empty for a tunnel.
        body_bytes: Length of the body.
        keeps: Whether the client keeps the connection open afterwards.
    """

    method: str
    host: str
    port: int
    authority: str
    head: bytes = b""
    body_bytes: int = 0
    keeps: bool = True

    @property
    def is_tunnel(self) -> bool:
        """Whether it is a CONNECT."""
        return self.method == "CONNECT"

    @classmethod
    def of(cls, head: Head) -> Self:
        """Parse a head.

        Raises:
            BadHead: The head is ambiguous or invalid.
            HopFailed: The request is not one for a forward proxy.
        """
        line = _REQUEST_LINE.fullmatch(head.start)
        if line is None:
            raise BadHead("the request line is malformed")
        method, target, version = line.groups()
        if method == "CONNECT":
            host, port = _host_and_port(target, None)
            return cls(method, host, port, join_host_port(host, port))
        parts = _HTTP_TARGET.fullmatch(target)
        if version != "HTTP/1.1" or parts is None:
            raise HopFailed("invalid_url", target[:200], "Only absolute http:// requests and CONNECT are supported.")
        host, port = _host_and_port(parts[1], 80)
        authority, path = join_host_port(host, port), parts[2]
        start = f"{method} {path if path.startswith('/') else f'/{path}'} HTTP/1.1"
        to_server = head.for_next_hop(start, connection="keep-alive", host=authority.removesuffix(":80"))
        return cls(method, host, port, authority, to_server, body_length(head), not head.has_option("close"))


def body_length(head: Head) -> int:
    """Return the length of the body of a request; an ambiguous length would allow request smuggling.

    Raises:
        BadHead: The length is not given by exactly one plain Content-Length.
    """
    [first, *others] = set(head.values("content-length")) or {"0"}
    size_bytes = plain_length(first)
    if size_bytes is None or others or head.values("transfer-encoding"):
        raise BadHead("a request body needs one plain Content-Length")
    return size_bytes


def _host_and_port(text: str, default_port: int | None) -> tuple[str, int]:
    try:
        return split_host_port(text, default_port)
    except InvalidAddress as error:
        raise HopFailed("invalid_url", text[:200], str(error)) from None
