"""The connection of the proxy to one client: consecutive requests, or a tunnel.

A client connection has at most one server connection, to the host and port of its last request. Both are kept open
between requests. No other client receives responses of that server connection, so that a server with incorrect framing
of its responses affects its own page only.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from cogo_dagster.net import responses
from cogo_dagster.net.dial import Dialer, HopFailed
from cogo_dagster.net.expiry import Expiry
from cogo_dagster.net.http_head import BadHead, Head, HeadReader
from cogo_dagster.net.peers import Address
from cogo_dagster.net.proxy_limits import ProxyLimits
from cogo_dagster.net.request import Request, body_length
from cogo_dagster.net.server_connection import ServerConnection

_PENDING_BYTES: Final = 64 * 1024
"""Maximum number of buffered bytes from a client."""


class Session(Protocol):
    """The session that a client connection belongs to."""

    mark: str
    failures: deque[HopFailed]
    connections: "set[ClientConnection]"


class Host(Protocol):
    """The proxy that accepts client connections."""

    def accept(self, connection: "ClientConnection") -> bool:
        """Register a connection; return False if there are too many."""

    def forget(self, connection: "ClientConnection") -> None:
        """Unregister a closed connection."""

    def session_of(self, head: Head) -> Session | None:
        """Return the session of the credential of a request."""


IsUser = Callable[[Address, Address], bool]
"""Whether the process at the other end may use a session; takes its address and that of the proxy."""


@dataclass(frozen=True, slots=True)
class PortGrant:
    """A session whose verified connections need no credential."""

    session: Session
    is_user: IsUser


class _ClientState(Enum):
    HEAD = auto()
    DIALING = auto()
    EXCHANGE = auto()
    TUNNEL = auto()
    CLOSED = auto()


class ClientConnection(asyncio.Protocol):
    """A client connection. `close` also cancels its requests."""

    def __init__(self, host: Host, dialer: Dialer, limits: ProxyLimits, grant: PortGrant | None = None) -> None:
        self._host = host
        self._dialer = dialer
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._state = _ClientState.HEAD
        self._reader = HeadReader(limits.head_bytes)
        self._pending = b""
        self._body_left_bytes = 0
        self._persistent = True
        self._holds: set[str] = set()
        self._is_full = False
        self._ended: set[str] = set()
        self._session: Session | None = None
        self._grant = grant
        self._is_granted = False
        self._request: Request | None = None
        self._server: ServerConnection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._expiry = Expiry(self.close)
        self._transport: asyncio.Transport | None = None

    def close(self) -> None:
        """Close the connection immediately."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - the type in asyncio is wider
        self._transport = transport
        if not self._host.accept(self):
            self._finish_writing()
            return
        self._expiry.begin(self._limits.head_seconds)
        if self._grant is not None:
            peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
            self._is_granted = peer is not None and self._grant.is_user(peer[:2], own[:2])
            if self._is_granted:
                self._session = self._grant.session
                self._session.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - signature of asyncio
        """Release everything after the client has disconnected."""
        self._end()
        self._expiry.cancel()
        if self._session is not None:
            self._session.connections.discard(self)
        self._host.forget(self)

    def eof_received(self) -> bool:
        """Treat the end of input as a disconnect, except in a tunnel."""
        if self._state is _ClientState.TUNNEL and self._server is not None:
            self._server.write_eof()
            self._end_direction("client")
            return True
        self._end()
        return False

    def pause_writing(self) -> None:
        """Pause the server, because the client reads more slowly."""
        self._is_full = True
        if self._server is not None:
            self._server.pause()

    def resume_writing(self) -> None:
        """Resume the server."""
        self._is_full = False
        if self._server is not None:
            self._server.resume()

    def data_received(self, data: bytes) -> None:
        """Handle bytes of a request head, a body or a tunnel."""
        if self._state is _ClientState.TUNNEL:
            self._extend_deadline()
            self._to_server(data)
        elif self._state is _ClientState.HEAD and not self._pending:
            self._read_head(data)
        elif self._state is _ClientState.EXCHANGE and self._body_left_bytes:
            self._extend_deadline()
            self._send_body(data)
        elif self._state is not _ClientState.CLOSED:
            self._pending += data
            if len(self._pending) > _PENDING_BYTES:
                self.hold("pending")

    # Callbacks of the server connection.

    def server_connected(self, server: ServerConnection) -> None:
        """Take ownership of the server connection, so that it is closed with this connection."""
        self._server = server
        if self._state is not _ClientState.DIALING:
            server.close()
        elif self._is_full:
            server.pause()

    def forward(self, data: bytes) -> None:
        """Send bytes to the client."""
        self._extend_deadline()
        if self._transport is not None:
            self._transport.write(data)

    def respond(self, head: Head, body: bytes, *, ends_with_connection: bool) -> None:
        """Forward the head of a response with the part of its body that has arrived."""
        request = self._request
        self._persistent = request is not None and request.keeps and not ends_with_connection
        start = responses.start_line(head.start)
        self.forward(head.for_next_hop(start, connection="keep-alive" if self._persistent else "close") + body)

    def finish(self) -> None:
        """Wait for the next request after a complete response, if both connections are persistent."""
        if self._body_left_bytes or not self._persistent:
            self._finish_writing()
            return
        self._request = None
        self._await_request(self._limits.idle_seconds)

    def server_failed(self, error: BadHead) -> None:
        """Send an error response instead of a missing or invalid one."""
        request = self._request
        self._fail(responses.bad_response(error, request.authority if request is not None else ""))

    def server_lost(self, *, truncated: bool) -> None:
        """Repeat a request that the server did not read because it closed an idle connection."""
        self._server = None
        self.release("server")
        if truncated or self._state is _ClientState.TUNNEL:
            self._finish_writing()
        elif self._state is _ClientState.EXCHANGE and self._request is not None:
            if self._request.body_bytes:
                self._finish_writing()  # the body is not kept; browsers repeat the request
            else:
                self._dial(self._request)

    def server_eof(self) -> None:
        """Forward the end of one direction of a tunnel."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()
        self._end_direction("server")

    def hold(self, reason: str) -> None:
        """Pause reading from the client until this reason is released."""
        if not self._holds and self._transport is not None:
            self._transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Resume reading if no other reason remains."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        if not self._holds and self._transport is not None:
            self._transport.resume_reading()

    # Steps of a request.

    def _await_request(self, seconds: float) -> None:
        self._state = _ClientState.HEAD
        self._expiry.begin(seconds)
        if self._pending:  # not recursively: a client may have sent thousands
            self._loop.call_soon(self._read_pending)

    def _read_pending(self) -> None:
        if self._state is _ClientState.HEAD:
            data, self._pending = self._pending, b""
            self.release("pending")
            self._read_head(data)

    def _read_head(self, data: bytes) -> None:
        if self._reader.is_empty:
            self._expiry.begin(self._limits.head_seconds)
        try:
            head = self._reader.feed(data)
            if head is None:
                return
            self._pending, self._reader = self._reader.rest, HeadReader(self._limits.head_bytes)
            self._begin(head)
        except BadHead:
            self._finish_writing()  # too malformed for a response
        except HopFailed as failure:
            self._fail(failure)

    def _begin(self, head: Head) -> None:
        session = self._session if self._is_granted else self._host.session_of(head)
        if session is None or self._session not in (None, session):
            self._require_credential(head)
            return
        self._session = session
        session.connections.add(self)
        self._request = request = Request.of(head)
        if self._server is not None and self._server.is_idle and self._server.authority == request.authority:
            self._exchange(self._server, request)
        else:
            self._dial(request)

    def _require_credential(self, head: Head) -> None:
        keep = self._session is None and body_length(head) == 0 and not head.has_option("close")
        self.forward(responses.challenge(keep=keep))
        if keep:
            self._await_request(self._limits.head_seconds)
        else:
            self._finish_writing()

    def _dial(self, request: Request) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.release("server")
        self._state = _ClientState.DIALING
        self._dialing = self._loop.create_task(self._connect(request))

    async def _connect(self, request: Request) -> None:
        # Lookup and connection have their own timeouts with more precise messages.
        self._expiry.begin(self._limits.idle_seconds + 2 * self._dialer.connect_seconds)
        try:
            server = await self._dialer.connect(
                request.host, request.port, lambda: ServerConnection(self, request.authority)
            )
        except HopFailed as failure:
            self._fail(failure)
            return
        if self._state is not _ClientState.DIALING:
            return
        if request.is_tunnel:
            self._open_tunnel(server)
        else:
            self._exchange(server, request)

    def _open_tunnel(self, server: ServerConnection) -> None:
        self._state = _ClientState.TUNNEL
        server.tunnel()
        self.forward(responses.established())
        data, self._pending = self._pending, b""
        self.release("pending")
        if data:
            server.write(data)

    def _exchange(self, server: ServerConnection, request: Request) -> None:
        self._state = _ClientState.EXCHANGE
        self._body_left_bytes = request.body_bytes
        self._expiry.begin(self._limits.idle_seconds)
        server.send_request(request.method, request.head)
        if self._body_left_bytes and self._pending:
            data, self._pending = self._pending, b""
            self._send_body(data)
        self.release("pending")

    def _send_body(self, data: bytes) -> None:
        size = min(len(data), self._body_left_bytes)
        self._body_left_bytes -= size
        self._pending = data[size:]
        self._to_server(data if size == len(data) else data[:size])

    def _to_server(self, data: bytes) -> None:
        if self._server is not None:
            self._server.write(data)

    # Closing.

    def _end_direction(self, side: str) -> None:
        """Close a tunnel after both directions have ended and all bytes have been sent."""
        self._ended.add(side)
        if len(self._ended) == 2 and self._server is not None:
            server, self._server = self._server, None
            server.close_when_sent(self._limits.idle_seconds)
            self._finish_writing()

    def _fail(self, failure: HopFailed) -> None:
        if self._session is None or self._state is _ClientState.CLOSED:
            return
        self._session.failures.append(failure)
        self.forward(responses.failure_response(failure, self._session.mark))
        self._finish_writing()

    def _finish_writing(self) -> None:
        """Close after all bytes have been sent to the client, at the latest after the idle timeout."""
        self._end()
        if self._transport is not None:
            self._transport.close()

    def _end(self) -> None:
        self._state = _ClientState.CLOSED
        self._expiry.begin(self._limits.idle_seconds)
        if self._dialing is not None:
            self._dialing.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _extend_deadline(self) -> None:
        self._expiry.extend(self._limits.idle_seconds)
