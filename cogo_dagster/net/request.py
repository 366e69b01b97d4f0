"""Requests to a forward proxy: plain HTTP in absolute form, or a tunnel."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from cogo_dagster.net.addresses import InvalidAddress, join_host_port, split_host_port
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.http_head import BadHead, Head, plain_length


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        head: The head for the server; empty for a tunnel.
        body_bytes: Length of the body.
        keeps: Whether the client keeps the connection open afterwards.
    """

    method: str
    host: str
    port: int
    head: bytes = b""
    body_bytes: int = 0
    keeps: bool = True

    @property
    def authority(self) -> str:
        """Return `host:port`."""
        return join_host_port(self.host, self.port)

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
        method, target, version = _request_line(head)
        if method == "CONNECT":
            return cls(method, *_authority(target, None))
        if version != "HTTP/1.1" or not target.lower().startswith("http://"):
            raise HopFailed("invalid_url", target[:200], "Only absolute http:// requests and CONNECT are supported.")
        host, port, path = _http_target(target)
        body_bytes = body_length(head)
        to_server = head.for_next_hop(
            f"{method} {path} HTTP/1.1",
            connection="keep-alive",
            Host=join_host_port(host, port).removesuffix(":80"),
        )
        return cls(method, host, port, to_server, body_bytes, not head.has_option("close"))


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


def _request_line(head: Head) -> tuple[str, str, str]:
    parts = head.start.split(" ")
    if len(parts) != 3 or not parts[0].isalpha():
        raise BadHead("the request line is malformed")
    return parts[0], parts[1], parts[2]


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    try:
        return split_host_port(text, default_port)
    except InvalidAddress as error:
        raise HopFailed("invalid_url", text[:200], str(error)) from None


def _http_target(target: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(target)
    except ValueError:
        raise HopFailed("invalid_url", target[:200], "The address is not a URL.") from None
    host, port = _authority(parts.netloc, 80)
    path = target.partition("#")[0].partition("://")[2].removeprefix(parts.netloc)
    return host, port, path if path.startswith("/") else f"/{path}"
