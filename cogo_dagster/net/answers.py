"""Answers that the proxy gives itself, in the place of a server."""

from typing import Final

from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.http_head import BadHead, HeadCut, HeadTooLong, encode_head

MARK_HEADER: Final = "x-cogo-proxy"
_STATUS: Final = {
    "blocked_address": "403 Forbidden",
    "invalid_url": "400 Bad Request",
    "timeout": "504 Gateway Timeout",
}


def established() -> bytes:
    """A tunnel is open."""
    return b"HTTP/1.1 200 Connection established\r\n\r\n"


def challenge(*, keep: bool) -> bytes:
    """Ask for a credential."""
    fields = ("Proxy-Authenticate", 'Basic realm="cogo"')
    return _answer("407 Proxy Authentication Required", "", fields, connection="keep-alive" if keep else "close")


def failure_answer(failure: HopFailed, mark: str) -> bytes:
    """Tell why there is no response; only the session knows its mark, so that no server can pretend to be the proxy."""
    return _answer(_STATUS.get(failure.kind, "502 Bad Gateway"), failure.sentence, (MARK_HEADER, mark))


def bad_response(error: BadHead, authority: str) -> HopFailed:
    """Return what a server did that sent no response, or none in HTTP/1."""
    if isinstance(error, HeadTooLong):
        return HopFailed("headers", authority, f"{authority} sends more headers than browsers take.")
    if isinstance(error, HeadCut):
        return HopFailed("connection", authority, f"{authority} closed the connection without an answer.")
    return HopFailed("not_http", authority, f"{authority} does not speak HTTP: {error}.")


def _answer(status: str, sentence: str, *fields: tuple[str, str], connection: str = "close") -> bytes:
    body = f"{sentence}\n".encode()
    plain = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", connection),
    ]
    return encode_head(f"HTTP/1.1 {status}", [*fields, *plain]) + body
