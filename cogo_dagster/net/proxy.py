"""A forward proxy in this process, which keeps browsers out of the private network.

The request interception of a browser does not cover redirects, web sockets and DNS changes; a proxy sees every hop.
Each connection is resolved, checked and opened by `Dialer`. Plain HTTP arrives in absolute form, everything else
(https, ws, wss) as CONNECT. Bodies are streamed, and connections are kept open between requests.

Every user has a session with a random credential, so that other programs on this machine cannot use the proxy, and so
that failures are attributed to the job that caused them. A session may have its own port, on which connections of
verified processes need no credential.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from cogo_dagster.net.client_connection import ClientConnection, IsUser, PortGrant
from cogo_dagster.net.dial import Dialer, HopFailed
from cogo_dagster.net.http_head import Head
from cogo_dagster.net.proxy_limits import ProxyLimits
from cogo_dagster.net.responses import MARK_HEADER, STATUS_HEADER

__all__ = ["MARK_HEADER", "STATUS_HEADER", "ForwardProxy", "ProxyLimits", "ProxySession"]


@dataclass(eq=False, slots=True)
class ProxySession:
    """A session of one user, from `ForwardProxy.session`.

    Attributes:
        username: User name for `Proxy-Authorization: Basic`.
        password: Password for `Proxy-Authorization: Basic`.
        mark: Value of the header `x-cogo-proxy` in responses that the proxy generates; unknown to servers.
        failures: The latest blocked or failed hops, oldest first.
        connections: Open connections.
        server: The session's own port, if there is one.
    """

    username: str = field(default_factory=lambda: secrets.token_hex(8))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    failures: deque[HopFailed] = field(default_factory=lambda: deque(maxlen=100))
    connections: set[ClientConnection] = field(default_factory=set)
    server: asyncio.Server | None = None

    def close_port(self) -> None:
        """Close the session's own port; its connections continue."""
        server, self.server = self.server, None
        if server is not None:
            server.close()

    def failure_at(self, authority: str) -> HopFailed | None:
        """Return the latest failure for a host:port."""
        return next((failure for failure in reversed(self.failures) if failure.authority == authority), None)


class ForwardProxy:
    """Listens on a free port of 127.0.0.1.

    Args:
        dialer: Opens connections to servers.
        limits: Limits of the clients.
    """

    def __init__(self, dialer: Dialer, limits: ProxyLimits | None = None) -> None:
        self._dialer = dialer
        self._limits = limits or ProxyLimits()
        self._sessions: dict[str, ProxySession] = {}
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Start listening."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self, self._dialer, self._limits), "127.0.0.1", 0
        )
        return self

    async def stop(self) -> None:
        """Close all connections and the port."""
        if self._server is None:
            return
        self._server.close()
        for session in self._sessions.values():
            session.close_port()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)  # asyncio closes an aborted socket in the next iteration of the loop
        await self._server.wait_closed()
        self._server = None

    @property
    def url(self) -> str:
        """Return `http://127.0.0.1:port`, without credentials."""
        if self._server is None:
            raise RuntimeError("The proxy has not been started.")
        return _url(self._server)

    async def open_port(self, session: ProxySession, is_user: IsUser) -> str:
        """Open a port for one session, until its end; return its URL.

        Args:
            is_user: Verifies the process of a connection; other connections need the credential.
        """
        # A connection can be accepted before the end of the session and arrive here after it.
        grant = PortGrant(session, lambda peer, own: session.server is not None and is_user(peer, own))
        session.server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self, self._dialer, self._limits, grant), "127.0.0.1", 0
        )
        return _url(session.server)

    @contextlib.contextmanager
    def session(self) -> Iterator[ProxySession]:
        """Create a session; at the end its credential is revoked and its connections are closed."""
        session = ProxySession()
        key = base64.b64encode(f"{session.username}:{session.password}".encode()).decode()
        self._sessions[key] = session
        try:
            yield session
        finally:
            del self._sessions[key]
            session.close_port()
            for connection in list(session.connections):
                connection.close()

    def accept(self, connection: ClientConnection) -> bool:
        """Register a connection; return False if there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self._limits.connections

    def forget(self, connection: ClientConnection) -> None:
        """Unregister a closed connection."""
        self._connections.discard(connection)

    def session_of(self, head: Head) -> ProxySession | None:
        """Return the session of the credential of a request; None if it is missing or invalid."""
        credentials = head.values("proxy-authorization")
        scheme, _, key = credentials[0].partition(" ") if len(credentials) == 1 else ("", "", "")
        return self._sessions.get(key.strip()) if scheme.lower() == "basic" else None


def _url(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://{host}:{port}"
