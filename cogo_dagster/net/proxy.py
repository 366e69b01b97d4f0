"""A forward proxy in this process: the wall between a browser and the private network.

A browser's own hooks do not see redirects, web sockets or a name's changing addresses; a proxy sees every hop. Each
connection is resolved, checked and pinned by `Dialer`; plain HTTP arrives in absolute form, everything else (https,
ws, wss) as CONNECT. Bodies are streamed, and connections are kept open between requests.

Every user has a session with a random credential of its own, so that other programs on this machine cannot use the
proxy, and so that a rejection can be told to the job that caused it.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from cogo_dagster.net.answers import MARK_HEADER
from cogo_dagster.net.client_connection import ClientConnection
from cogo_dagster.net.dial import Dialer, HopFailed
from cogo_dagster.net.http_head import Head
from cogo_dagster.net.proxy_limits import ProxyLimits

__all__ = ["MARK_HEADER", "ForwardProxy", "ProxyLimits", "ProxySession"]


@dataclass(eq=False, slots=True)
class ProxySession:
    """One user of the proxy, from `ForwardProxy.session`.

    Attributes:
        username: Goes with `password` into `Proxy-Authorization: Basic`.
        mark: Value of the header `x-cogo-proxy` in answers that the proxy made itself; unknown to any server.
        failures: The latest hops that were rejected or failed, oldest first.
        connections: Its open connections.
    """

    username: str = field(default_factory=lambda: secrets.token_hex(8))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    failures: deque[HopFailed] = field(default_factory=lambda: deque(maxlen=100))
    connections: set[ClientConnection] = field(default_factory=set)

    def failure_at(self, authority: str) -> HopFailed | None:
        """Return the latest failure of a host:port."""
        return next((failure for failure in reversed(self.failures) if failure.authority == authority), None)


class ForwardProxy:
    """Listens on 127.0.0.1, on a free port.

    Args:
        dialer: Opens the connections to the outside.
    """

    def __init__(self, dialer: Dialer, limits: ProxyLimits | None = None) -> None:
        self._dialer = dialer
        self._limits = limits or ProxyLimits()
        self._sessions: dict[str, ProxySession] = {}
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self, self._dialer, self._limits), "127.0.0.1", 0
        )
        return self

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)  # asyncio closes an aborted socket in the loop's next round
        await self._server.wait_closed()
        self._server = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without credentials."""
        if self._server is None:
            raise RuntimeError("The proxy is not started.")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @contextlib.contextmanager
    def session(self) -> Iterator[ProxySession]:
        """Admit one user; afterwards its credential is void and its connections are closed."""
        session = ProxySession()
        key = base64.b64encode(f"{session.username}:{session.password}".encode()).decode()
        self._sessions[key] = session
        try:
            yield session
        finally:
            del self._sessions[key]
            for connection in list(session.connections):
                connection.close()

    def accept(self, connection: ClientConnection) -> bool:
        """Count a connection; False where there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self._limits.connections

    def forget(self, connection: ClientConnection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)

    def session_of(self, head: Head) -> ProxySession | None:
        """Return whose credential a request has; None where it has none that is valid."""
        given = head.values("proxy-authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return self._sessions.get(key.strip()) if scheme.lower() == "basic" else None
