"""The proxy's connection to one server: responses one after another, or the far end of a tunnel."""

import asyncio
from enum import Enum, auto
from typing import Final, Protocol

from cogo_dagster.net.framing import Body, EndlessBody, response_body
from cogo_dagster.net.http_head import BadHead, Head, HeadCut, HeadReader, encode_head

HEAD_BYTES: Final = 256 * 1024
"""Longest head of a response; browsers take no longer ones."""


class Client(Protocol):
    """What a server connection tells the connection of the client that it serves."""

    def server_connected(self, server: "ServerConnection") -> None:
        """The connection is open."""

    def respond(self, head: Head, *, ends_with_connection: bool) -> None:
        """The head of the final response is here."""

    def forward(self, data: bytes) -> None:
        """Bytes for the client."""

    def finish(self) -> None:
        """The response is complete."""

    def server_failed(self, error: BadHead) -> None:
        """There is no response, or it is not HTTP/1."""

    def server_lost(self, *, truncated: bool) -> None:
        """The connection has ended; `truncated` in a response, or as the end of one."""

    def server_eof(self) -> None:
        """The server sends no more into the tunnel."""

    def hold(self, reason: str) -> None:
        """Stop reading from the client."""

    def release(self, reason: str) -> None:
        """Read on."""


class _ServerState(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    TUNNEL = auto()
    CLOSED = auto()


class ServerConnection(asyncio.Protocol):
    """One connection to a checked address. It belongs to one client connection and is never shared.

    Attributes:
        authority: The host:port that was checked and connected to.
    """

    def __init__(self, client: Client, authority: str) -> None:
        self.authority = authority
        self._client = client
        self._state = _ServerState.IDLE
        self._method = ""
        self._reader = HeadReader(HEAD_BYTES, b"HTTP/")
        self._body: Body = EndlessBody()
        self._persistent = True
        self._served = 0
        self._transport: asyncio.Transport | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it can take another request."""
        return self._state is _ServerState.IDLE

    @property
    def closed_unused(self) -> bool:
        """Whether an earlier response came over it and it ended before a byte of this one: the request can be repeated.

        RFC 9112, section 9.3.1: servers close idle connections at any time.
        """
        return self._served > 0 and self._reader.is_empty

    def ask(self, method: str, head: bytes) -> None:
        """Send the head of a request, and expect a response."""
        self._method = method
        self._reader = HeadReader(HEAD_BYTES, b"HTTP/")
        self._state = _ServerState.HEAD
        self.write(head)

    def tunnel(self) -> None:
        """Pass everything on as it is."""
        self._state = _ServerState.TUNNEL

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        if self._transport is not None:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Send no more."""
        if self._transport is not None and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """End the connection; the client is told nothing more."""
        self._state = _ServerState.CLOSED
        if self._transport is not None:
            self._transport.abort()

    def close_when_sent(self, limit_seconds: float) -> None:
        """End the connection when the server has taken everything, or at the limit."""
        self._state = _ServerState.CLOSED
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(limit_seconds, self._transport.abort)

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Belong to the client from now on."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's type is wider
        self._transport = transport
        self._client.server_connected(self)

    def pause_writing(self) -> None:
        """The server reads slower than the client sends."""
        self._client.hold("server")

    def resume_writing(self) -> None:
        """It has caught up."""
        self._client.release("server")

    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to the response."""
        if self._state is _ServerState.TUNNEL:
            self._client.forward(data)
            return
        if self._state is _ServerState.HEAD:
            data = self._read_heads(data)
        if self._state is _ServerState.BODY:
            self._read_body(data)
        elif self._state is _ServerState.IDLE and data:  # nobody asked for it
            self.close()
            self._client.server_lost(truncated=False)

    def eof_received(self) -> bool:
        """The server sends no more; only a tunnel stays open."""
        if self._state is _ServerState.TUNNEL:
            self._client.server_eof()
            return True
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """The connection is gone."""
        self._end()

    def _read_heads(self, data: bytes) -> bytes:
        """Read up to the final response's head; return what follows it."""
        while data and self._state is _ServerState.HEAD:
            try:
                head = self._reader.feed(data)
                if head is None:
                    return b""
                status = _status(head)
            except BadHead as error:
                self.close()
                self._client.server_failed(error)
                return b""
            data = self._reader.rest
            if status.startswith("1"):
                self._client.forward(encode_head(head.start, list(head.fields)))
                self._reader = HeadReader(HEAD_BYTES, b"HTTP/")
            else:
                self._begin_body(head, status)
        return data

    def _begin_body(self, head: Head, status: str) -> None:
        self._body = response_body(head, self._method, status)
        endless = self._body.lasts
        self._persistent = not endless and head.start.startswith("HTTP/1.1 ") and not head.names_option("close")
        self._state = _ServerState.BODY
        self._client.respond(head, ends_with_connection=endless)
        if self._body.ended:
            self._finish()

    def _read_body(self, data: bytes) -> None:
        if not data:
            return
        taken = self._body.take(data)
        self._client.forward(data if taken == len(data) else data[:taken])
        if self._body.ended:
            self._persistent = self._persistent and taken == len(data)
            self._finish()

    def _finish(self) -> None:
        self._served += 1
        self._state = _ServerState.IDLE
        if not self._persistent:
            self.close()
        self._client.finish()

    def _end(self) -> None:
        state, self._state = self._state, _ServerState.CLOSED
        if state is _ServerState.CLOSED:
            return
        if state is _ServerState.HEAD and not self.closed_unused:
            self._client.server_failed(HeadCut("the server closed the connection without an answer"))
            return
        self._client.server_lost(truncated=state is _ServerState.BODY)


def _status(head: Head) -> str:
    status = head.start.split(" ")[1:2] if head.start.startswith("HTTP/1.") else []
    if not status or not (status[0].isascii() and status[0].isdigit()) or status[0] == "101":
        raise BadHead("the server did not answer with HTTP/1")
    return status[0]
