"""The connection of the proxy to one server: consecutive responses, or the far end of a tunnel."""

import asyncio
import re
from enum import Enum, auto
from typing import Final, Protocol

from cogo_dagster.net.framing import Body, EndlessBody, response_body
from cogo_dagster.net.http_head import BadHead, Head, HeadCut, HeadReader

HEAD_BYTES: Final = 256 * 1024
"""Maximum size of a response head; browsers accept no larger ones."""


class Client(Protocol):
    """Callbacks of the client connection that a server connection serves."""

    def server_connected(self, server: "ServerConnection") -> None:
        """Called when the connection is open."""

    def respond(self, head: Head, body: bytes, *, ends_with_connection: bool) -> None:
        """Called with the head of the final response, and the part of its body that has arrived."""

    def forward(self, data: bytes) -> None:
        """Called with bytes for the client."""

    def finish(self) -> None:
        """Called when the response is complete."""

    def server_failed(self, error: BadHead) -> None:
        """Called if there is no valid response."""

    def server_lost(self, *, truncated: bool) -> None:
        """Called when the connection has ended; `truncated` within a response, or as its end."""

    def server_eof(self) -> None:
        """Called at the end of the server's direction of a tunnel."""

    def hold(self, reason: str) -> None:
        """Pause reading from the client."""

    def release(self, reason: str) -> None:
        """Resume reading from the client."""


class _ServerState(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    TUNNEL = auto()
    CLOSED = auto()


class ServerConnection(asyncio.Protocol):
    """A connection to a checked address. It belongs to one client connection and is never shared.

    Attributes:
        authority: The host:port of the server.
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
        """Whether it can be used for another request."""
        return self._state is _ServerState.IDLE

    @property
    def closed_unused(self) -> bool:
        """Whether a reused connection ended before the first byte of a response, so that the request can be repeated.

        RFC 9112, section 9.3.1: servers may close idle connections at any time.
        """
        return self._served > 0 and self._reader.is_empty

    def send_request(self, method: str, head: bytes) -> None:
        """Send the head of a request, and expect a response."""
        self._method = method
        self._reader = HeadReader(HEAD_BYTES, b"HTTP/")
        self._state = _ServerState.HEAD
        self.write(head)

    def tunnel(self) -> None:
        """Forward all data unchanged from now on."""
        self._state = _ServerState.TUNNEL

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        if self._transport is not None:
            self._transport.write(data)

    def write_eof(self) -> None:
        """End the client's direction of a tunnel."""
        if self._transport is not None and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close the connection without further callbacks."""
        self._state = _ServerState.CLOSED
        if self._transport is not None:
            self._transport.abort()

    def close_when_sent(self, limit_seconds: float) -> None:
        """Close the connection after all bytes have been sent, at the latest after the limit."""
        self._state = _ServerState.CLOSED
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(limit_seconds, self._transport.abort)

    def pause(self) -> None:
        """Pause reading until `resume`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the client connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - the type in asyncio is wider
        self._transport = transport
        self._client.server_connected(self)

    def pause_writing(self) -> None:
        """Pause the client, because the server reads more slowly."""
        self._client.hold("server")

    def resume_writing(self) -> None:
        """Resume the client."""
        self._client.release("server")

    def data_received(self, data: bytes) -> None:
        """Forward the data that belongs to the response."""
        if self._state is _ServerState.TUNNEL:
            self._client.forward(data)
            return
        if self._state is _ServerState.HEAD:
            self._read_heads(data)
        elif self._state is _ServerState.BODY:
            size = self._body.take(data)
            self._client.forward(data if size == len(data) else data[:size])
            self._end_of_body(has_more=size < len(data))
        elif self._state is _ServerState.IDLE:  # unsolicited
            self.close()
            self._client.server_lost(truncated=False)

    def eof_received(self) -> bool:
        """Handle the end of input; only a tunnel stays open."""
        if self._state is _ServerState.TUNNEL:
            self._client.server_eof()
            return True
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - signature of asyncio
        """Handle the end of the connection."""
        self._end()

    def _read_heads(self, data: bytes) -> None:
        """Parse up to the head of the final response."""
        while data and self._state is _ServerState.HEAD:
            try:
                head = self._reader.feed(data)
                if head is None:
                    return
                status = _status(head)
            except BadHead as error:
                self.close()
                self._client.server_failed(error)
                return
            data = self._reader.rest
            if status.startswith("1"):
                self._client.forward(head.unchanged())
                self._reader = HeadReader(HEAD_BYTES, b"HTTP/")
            else:
                self._begin_body(head, status, data)

    def _begin_body(self, head: Head, status: str, data: bytes) -> None:
        """Forward the head with what has arrived of the body: one system call, and one wake-up of the client."""
        self._body = response_body(head, self._method, status)
        endless = self._body.lasts
        self._persistent = not endless and head.start.startswith("HTTP/1.1 ") and not head.has_option("close")
        self._state = _ServerState.BODY
        size = self._body.take(data)
        self._client.respond(head, data[:size], ends_with_connection=endless)
        self._end_of_body(has_more=size < len(data))

    def _end_of_body(self, *, has_more: bool) -> None:
        """Finish the response if its body is complete; unsolicited data after it ends the connection."""
        if self._body.ended:
            self._persistent = self._persistent and not has_more
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
            self._client.server_failed(HeadCut("the server closed the connection without a response"))
            return
        self._client.server_lost(truncated=state is _ServerState.BODY)


def _status(head: Head) -> str:
    status = head.start.split(" ")[1:2] if head.start.startswith("HTTP/1.") else []
    if not status or re.fullmatch("[1-9][0-9]{2}", status[0]) is None or status[0] == "101":
        raise BadHead(f"it responded with {head.start[:100]!r}")
    return status[0]
