"""Faults between a worker and its database: a transport with a hook, and a TCP proxy."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.supabase.faults import Fault, Faults

_READY_FOR_QUERY: Final = b"Z\x00\x00\x00\x05I"


class Watched:
    """A transport that calls `before` before each call; the hook may return, wait or raise.

    Attributes:
        calls: Names of the called functions, in order.
        in_progress: Names of the functions whose calls have not returned.
    """

    def __init__(self, transport: Transport, before: Callable[[str, Mapping[str, Json]], None] | None = None) -> None:
        self._transport = transport
        self._before = before
        self.calls: list[str] = []
        self.in_progress: list[str] = []

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Call the hook, then the function."""
        self.calls.append(function)
        self.in_progress.append(function)
        try:
            if self._before is not None:
                self._before(function, arguments)
            return self._transport.call(function, arguments)
        finally:
            self.in_progress.remove(function)

    def close(self) -> None:
        """Close the wrapped transport."""
        self._transport.close()


class Trouble(Protocol):
    """Injects faults between a worker and its database, over any transport."""

    @property
    def lost_replies(self) -> int:
        """The number of dropped replies so far."""
        ...

    def cut(self) -> None:
        """Break every connection, and every new one."""
        ...

    def restore(self) -> None:
        """Accept new connections again."""
        ...

    def lose_reply_to(self, word: str) -> None:
        """Let the next call of this function be executed, and drop its reply."""
        ...


class ProjectTrouble:
    """Injects faults before a Supabase project."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._ordered: list[Fault] = []

    @property
    def lost_replies(self) -> int:
        """The number of dropped replies so far."""
        return sum(fault.met for fault in self._ordered)

    def cut(self) -> None:
        """Break every connection, and every new one."""
        self._faults.cut()

    def restore(self) -> None:
        """Accept new connections again."""
        self._faults.clear()

    def lose_reply_to(self, word: str) -> None:
        """Let the next call of this function be executed, and drop its reply."""
        self._ordered.append(self._faults.order("drop_after", f"/rpc/{word}"))


class Proxy:
    """A proxy between clients and one server, which may be PostgreSQL or another TCP server.

    Attributes:
        lost_replies: Number of dropped replies so far.
        connections: Number of accepted connections so far.
        latency_seconds: Delay of each piece of a reply.
    """

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._target = self._parts.hostname or "", self._parts.port or 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._ended = False
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._silenced: set[socket.socket] = set()
        self._silent = False
        self._cut = False
        self._lose: bytes | None = None
        self.lost_replies = 0
        self.connections = 0
        self.latency_seconds = 0.0

    @property
    def dsn(self) -> str:
        """The server's address through the proxy."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self._address[1]}"))

    def cut(self) -> None:
        """Break every connection, and every new one."""
        with self._lock:
            self._cut = True
            for link in self._links:
                _shut(link)

    def silence(self, *, new_too: bool = False) -> None:
        """Keep every connection open without forwarding anything; new ones work, unless `new_too` is set."""
        with self._lock:
            self._silenced |= self._links
            self._silent = new_too

    def lead_to(self, dsn: str) -> None:
        """Forward new connections to another server; open ones are unchanged."""
        parts = urlsplit(dsn)
        self._target = parts.hostname or "", parts.port or 0

    def restore(self) -> None:
        """Accept new connections again."""
        with self._lock:
            self._cut = self._silent = False
            self.latency_seconds = 0.0

    def is_silent(self, link: socket.socket) -> bool:
        """Whether the data of a connection is discarded."""
        return link in self._silenced

    def lose_reply_to(self, word: str) -> None:
        """Forward the next request that contains this word, and break its connection when it was executed."""
        self._lose = word.encode()

    def serve(self) -> None:
        """Accept connections until closed; then close the listener."""
        with self._listener:
            while True:
                client, _ = self._listener.accept()
                if self._ended:
                    client.close()
                    return
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Stop the proxy."""
        self._ended = True
        with contextlib.suppress(OSError):
            socket.create_connection(self._address, 5).close()  # wakes it
        self.cut()

    def _connect(self, client: socket.socket) -> None:
        with client:
            if self._cut:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._target)
            except ConnectionRefusedError:  # the server is being restarted
                return
            with server:
                link = _Link(self, client, server)
                with self._lock:
                    self._links |= {client, server}
                    if self._silent:
                        self._silenced |= {client, server}
                link.run()
                with self._lock:
                    self._links -= {client, server}
                    self._silenced -= {client, server}

    def is_to_lose(self, request: bytes) -> bool:
        """Whether to drop the reply to this request; true once."""
        with self._lock:
            if self._lose is None or self._lose not in request:
                return False
            self._lose = None
            return True


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._losing = False

    def run(self) -> None:
        back = threading.Thread(target=self._replies, daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while request := self._client.recv(65536):
                self._losing = self._losing or self._proxy.is_to_lose(request)
                if not self._proxy.is_silent(self._client):
                    self._server.sendall(request)
        _shut(self._server)
        back.join()

    def _replies(self) -> None:
        with contextlib.suppress(OSError):
            while reply := self._server.recv(65536):
                if self._proxy.is_silent(self._server):
                    continue
                if self._proxy.latency_seconds:
                    time.sleep(self._proxy.latency_seconds)
                if not self._losing:
                    self._client.sendall(reply)
                elif reply.endswith(_READY_FOR_QUERY):
                    self._proxy.lost_replies += 1
                    break
        _shut(self._client)


@contextmanager
def proxied(dsn: str) -> Iterator[Proxy]:
    """Yield a proxy before a database."""
    proxy = Proxy(dsn)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)


def _shut(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
