"""The proxy's connection to one client: requests one after another, or a tunnel.

A client connection has at most one server connection, to the host and port that it asked for last. Both are kept open
between requests. Since no other client ever gets a response of that server connection, a server that ends its
responses where the client does not expect it harms its own page only.
"""

import asyncio
from collections import deque
from enum import Enum, auto
from typing import Final, Protocol

from cogo_dagster.net import answers
from cogo_dagster.net.dial import Dialer, HopFailed
from cogo_dagster.net.expiry import Expiry
from cogo_dagster.net.http_head import BadHead, Head, HeadReader
from cogo_dagster.net.proxy_limits import ProxyLimits
from cogo_dagster.net.request import Request, body_length
from cogo_dagster.net.server_connection import ServerConnection

_PENDING_BYTES: Final = 64 * 1024
"""Kept of what a client sends before it can be passed on."""


class Session(Protocol):
    """Whom a client connection belongs to."""

    mark: str
    failures: deque[HopFailed]
    connections: "set[ClientConnection]"


class Host(Protocol):
    """The proxy that accepts client connections."""

    def accept(self, connection: "ClientConnection") -> bool:
        """Count a connection; False where there are too many."""

    def forget(self, connection: "ClientConnection") -> None:
        """The connection is gone."""

    def session_of(self, head: Head) -> Session | None:
        """Return whose credential a request has."""


class _ClientState(Enum):
    HEAD = auto()
    DIALING = auto()
    EXCHANGE = auto()
    TUNNEL = auto()
    CLOSED = auto()


class ClientConnection(asyncio.Protocol):
    """One client. `close` ends it with everything that it has begun."""

    def __init__(self, host: Host, dialer: Dialer, limits: ProxyLimits) -> None:
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
        self._request: Request | None = None
        self._server: ServerConnection | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._expiry = Expiry(self.close)
        self._transport: asyncio.Transport | None = None

    def close(self) -> None:
        """Hang up at once."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls for the client.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's type is wider
        self._transport = transport
        if self._host.accept(self):
            self._expiry.begin(self._limits.head_seconds)
        else:
            self._finish_writing()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """The client is gone."""
        self._leave()
        self._expiry.cancel()
        if self._session is not None:
            self._session.connections.discard(self)
        self._host.forget(self)

    def eof_received(self) -> bool:
        """A client that sends no more has left, except from a tunnel."""
        if self._state is _ClientState.TUNNEL and self._server is not None:
            self._server.write_eof()
            self._end_direction("client")
            return True
        self._leave()
        return False

    def pause_writing(self) -> None:
        """The client reads slower than the server sends."""
        self._is_full = True
        if self._server is not None:
            self._server.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        if self._server is not None:
            self._server.resume()

    def data_received(self, data: bytes) -> None:
        """Read a request, its body, or a tunnel's bytes."""
        if self._state is _ClientState.TUNNEL:
            self._moved()
            self._to_server(data)
        elif self._state is _ClientState.HEAD and not self._pending:
            self._read_head(data)
        elif self._state is _ClientState.EXCHANGE and self._body_left_bytes:
            self._moved()
            self._send_body(data)
        elif self._state is not _ClientState.CLOSED:
            self._pending += data
            if len(self._pending) > _PENDING_BYTES:
                self.hold("pending")

    # What the server connection calls.

    def server_connected(self, server: ServerConnection) -> None:
        """Own the connection, so that it ends with this one."""
        self._server = server
        if self._state is not _ClientState.DIALING:
            server.close()
        elif self._is_full:
            server.pause()

    def forward(self, data: bytes) -> None:
        """Send bytes to the client."""
        self._moved()
        if self._transport is not None:
            self._transport.write(data)

    def respond(self, head: Head, *, ends_with_connection: bool) -> None:
        """Pass on the head of a response."""
        request = self._request
        self._persistent = request is not None and request.keeps and not ends_with_connection
        self.forward(head.for_next_hop(head.start, connection="keep-alive" if self._persistent else "close"))

    def finish(self) -> None:
        """A response is complete: wait for the next request, if both sides can."""
        if self._body_left_bytes or not self._persistent:
            self._finish_writing()
            return
        self._request = None
        self._await_request(self._limits.idle_seconds)

    def server_failed(self, error: BadHead) -> None:
        """Answer in the place of a server that gave no answer, or none in HTTP."""
        request = self._request
        self._fail(answers.bad_response(error, request.authority if request is not None else ""))

    def server_lost(self, *, truncated: bool) -> None:
        """Repeat what a server did not take because it was just closing the connection."""
        self._server = None
        self.release("server")
        if truncated or self._state is _ClientState.TUNNEL:
            self._finish_writing()
        elif self._state is _ClientState.EXCHANGE and self._request is not None:
            if self._request.body_bytes:
                self._finish_writing()  # its body is gone; a browser sends it again itself
            else:
                self._dial(self._request)

    def server_eof(self) -> None:
        """Pass on the end of one direction of a tunnel."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()
        self._end_direction("server")

    def hold(self, reason: str) -> None:
        """Read no more from the client until this reason is released."""
        if not self._holds and self._transport is not None:
            self._transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Read on if no other reason is left."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        if not self._holds and self._transport is not None:
            self._transport.resume_reading()

    # The steps of a request.

    def _await_request(self, seconds: float) -> None:
        self._state = _ClientState.HEAD
        self._expiry.begin(seconds)
        if self._pending:  # not at once: a client may have sent thousands
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
            self._finish_writing()  # too odd to be answered
        except HopFailed as failure:
            self._fail(failure)

    def _begin(self, head: Head) -> None:
        session = self._host.session_of(head)
        if session is None or self._session not in (None, session):
            self._ask_for_credential(head)
            return
        self._session = session
        session.connections.add(self)
        self._request = request = Request.of(head)
        if self._server is not None and self._server.is_idle and self._server.authority == request.authority:
            self._exchange(self._server, request)
        else:
            self._dial(request)

    def _ask_for_credential(self, head: Head) -> None:
        keep = self._session is None and body_length(head) == 0 and not head.names_option("close")
        self.forward(answers.challenge(keep=keep))
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
        # Looking up and connecting have limits of their own, which say what took too long.
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
        self.forward(answers.established())
        data, self._pending = self._pending, b""
        self.release("pending")
        if data:
            server.write(data)

    def _exchange(self, server: ServerConnection, request: Request) -> None:
        self._state = _ClientState.EXCHANGE
        self._body_left_bytes = request.body_bytes
        self._expiry.begin(self._limits.idle_seconds)
        server.ask(request.method, request.head)
        if self._body_left_bytes and self._pending:
            data, self._pending = self._pending, b""
            self._send_body(data)
        self.release("pending")

    def _send_body(self, data: bytes) -> None:
        taken = min(len(data), self._body_left_bytes)
        self._body_left_bytes -= taken
        self._pending = data[taken:]
        self._to_server(data if taken == len(data) else data[:taken])

    def _to_server(self, data: bytes) -> None:
        if self._server is not None:
            self._server.write(data)

    # The ends.

    def _end_direction(self, side: str) -> None:
        """Close a tunnel of which both directions have ended, when what was sent has arrived."""
        self._ended.add(side)
        if len(self._ended) == 2 and self._server is not None:
            server, self._server = self._server, None
            server.close_when_sent(self._limits.idle_seconds)
            self._finish_writing()

    def _fail(self, failure: HopFailed) -> None:
        if self._session is None or self._state is _ClientState.CLOSED:
            return
        self._session.failures.append(failure)
        self.forward(answers.failure_answer(failure, self._session.mark))
        self._finish_writing()

    def _finish_writing(self) -> None:
        """Close when the client has taken what was sent, at the latest after the idle time."""
        self._leave()
        if self._transport is not None:
            self._transport.close()

    def _leave(self) -> None:
        self._state = _ClientState.CLOSED
        self._expiry.begin(self._limits.idle_seconds)
        if self._dialing is not None:
            self._dialing.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _moved(self) -> None:
        self._expiry.extend(self._limits.idle_seconds)
