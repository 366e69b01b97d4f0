"""Responses that the proxy generates itself."""

from typing import Final

from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.http_head import BadHead, HeadCut, HeadTooLong, encode_head

MARK_HEADER: Final = "x-cogo-proxy"
STATUS_HEADER: Final = "x-cogo-status"
"""The status of a response that was forwarded with another one."""
_STATUS: Final = {
    "blocked_address": "403 Forbidden",
    "invalid_url": "400 Bad Request",
    "timeout": "504 Gateway Timeout",
}


def start_line(received: str) -> str:
    """Return the start line of a server's response as it is forwarded.

    A server's 407 becomes 502, with the status in a header: a browser would drop the credential of this proxy.
    """
    if received.split(" ")[1:2] == ["407"]:
        return f"HTTP/1.1 502 Bad Gateway\r\n{STATUS_HEADER}: 407"
    return received


def established() -> bytes:
    """Return the response that confirms a tunnel."""
    return b"HTTP/1.1 200 Connection established\r\n\r\n"


def challenge(*, keep: bool) -> bytes:
    """Return the response that requires a credential."""
    fields = ("Proxy-Authenticate", 'Basic realm="cogo"')
    return _response("407 Proxy Authentication Required", "", fields, connection="keep-alive" if keep else "close")


def failure_response(failure: HopFailed, mark: str) -> bytes:
    """Return the response for a failed hop. It has the mark of the session, which servers cannot read or forge."""
    return _response(_STATUS.get(failure.kind, "502 Bad Gateway"), failure.message, (MARK_HEADER, mark))


def bad_response(error: BadHead, authority: str) -> HopFailed:
    """Return the failure for a server that sent no response, or an invalid one."""
    if isinstance(error, HeadTooLong):
        return HopFailed("headers", authority, f"{authority} sends more headers than browsers accept.")
    if isinstance(error, HeadCut):
        return HopFailed("connection", authority, f"{authority} closed the connection without a response.")
    return HopFailed("not_http", authority, f"{authority} did not respond with HTTP: {error}.")


def _response(status: str, message: str, *fields: tuple[str, str], connection: str = "close") -> bytes:
    body = f"{message}\n".encode()
    plain = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", connection),
    ]
    return encode_head(f"HTTP/1.1 {status}", [*fields, *plain]) + body
