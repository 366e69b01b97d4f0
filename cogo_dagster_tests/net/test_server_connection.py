"""The connection of the forward proxy to a server: what the client connection receives, and in how many pieces."""

import asyncio
from unittest import mock

import pytest

from cogo_dagster.net.server_connection import ServerConnection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def received(*segments: bytes) -> list[tuple[str, bytes]]:
    """Return the calls to the client connection, with their bodies, after a request and these segments of data."""
    calls: list[tuple[str, bytes]] = []
    client = mock.Mock()
    client.respond.side_effect = lambda _, body, **__: calls.append(("respond", body))
    client.forward.side_effect = lambda data: calls.append(("forward", data))
    client.finish.side_effect = lambda: calls.append(("finish", b""))
    client.server_lost.side_effect = lambda **_: calls.append(("server_lost", b""))
    connection = ServerConnection(client, "shop.example:80")
    connection.connection_made(mock.Mock(spec=asyncio.Transport))
    connection.send_request("GET", b"GET / HTTP/1.1\r\n\r\n")
    for segment in segments:
        connection.data_received(segment)
    return calls


@pytest.mark.parametrize(
    ("segments", "calls"),
    [
        ([OK + b"body"], [("respond", b"body"), ("finish", b"")]),
        ([OK + b"bo", b"dy"], [("respond", b"bo"), ("forward", b"dy"), ("finish", b"")]),
        ([OK, b"body"], [("respond", b""), ("forward", b"body"), ("finish", b"")]),
        ([OK[:20], OK[20:] + b"body"], [("respond", b"body"), ("finish", b"")]),
        ([OK + b"body more"], [("respond", b"body"), ("finish", b"")]),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], [("respond", b""), ("finish", b"")]),
        ([b"HTTP/1.1 204 No Content\r\n\r\nmore"], [("respond", b""), ("finish", b"")]),
        ([OK + b"body", b"more"], [("respond", b"body"), ("finish", b""), ("server_lost", b"")]),
    ],
)
def test_what_arrives_with_the_head_is_forwarded_with_it(segments: list[bytes], calls: list[tuple[str, bytes]]) -> None:
    """Head and body that arrive together are forwarded together; data after the body is never forwarded."""
    assert received(*segments) == calls
