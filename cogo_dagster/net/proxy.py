"""A forward proxy in this process: the wall between a browser and the private network.

A browser's own hooks do not see redirects, web sockets or a name's changing addresses; a proxy sees every hop. Each
connection is resolved, checked and pinned by `Dialer`; plain HTTP arrives in absolute form, everything else (https,
ws, wss) as CONNECT. One request per client connection, bodies streamed, nothing buffered beyond a head.

Every user has a session with a random credential of its own, so that other programs on this machine cannot use the
proxy, and so that a refusal can be told to the job that caused it.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from cogo_dagster.net.addresses import InvalidAddress, join_host_port, split_host_port
from cogo_dagster.net.dial import Connection, Dialer, HopFailed
from cogo_dagster.net.http_head import BadHead, Head, HeadCut, HeadTooLong, encode_head, read_head
from cogo_dagster.net.relay import cancel_all, exchange, join

MARK_HEADER = "x-cogo-proxy"
_STATUS = {"blocked_address": "403 Forbidden", "invalid_url": "400 Bad Request", "timeout": "504 Gateway Timeout"}


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Bounds of one proxy.

    Attributes:
        connections: Clients at once; one more is hung up on.
        head_bytes: Longest request head.
        head_seconds: Longest wait for a request head.
        idle_seconds: Longest silence in both directions of an open connection.
    """

    connections: int = 512
    head_bytes: int = 64 * 1024
    head_seconds: float = 30
    idle_seconds: float = 120


@dataclass(eq=False, slots=True)
class ProxySession:
    """One user of the proxy, from `ForwardProxy.session`.

    Attributes:
        username: Goes with `password` into `Proxy-Authorization: Basic`.
        mark: Value of the header `x-cogo-proxy` in answers that the proxy made itself; unknown to any server.
        failures: The latest hops that were refused or failed, oldest first.
    """

    username: str = field(default_factory=lambda: secrets.token_hex(8))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    failures: deque[HopFailed] = field(default_factory=lambda: deque(maxlen=100))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

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
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=self._limits.head_bytes)
        return self

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is None:
            return
        self._server.close()
        await cancel_all(self._tasks)
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
            for task in session.tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in one
        self._tasks.add(task)
        try:
            await self._serve_one((reader, writer), task)
        except (OSError, TimeoutError, BadHead, asyncio.CancelledError):
            pass  # the peer went away, was too slow or too odd, or the session ended: nobody is left to tell
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, client: Connection, task: asyncio.Task[None]) -> None:
        if len(self._tasks) > self._limits.connections:
            return
        async with asyncio.timeout(self._limits.head_seconds):
            head = await read_head(client[0])
        if head is None:
            return
        session = self._session_of(head)
        if session is None:
            challenge = ("Proxy-Authenticate", 'Basic realm="cogo"')
            await _answer(client[1], "407 Proxy Authentication Required", "", challenge)
            return
        session.tasks.add(task)
        try:
            await self._relay(client, head)
        except HopFailed as failure:
            session.failures.append(failure)
            status = _STATUS.get(failure.kind, "502 Bad Gateway")
            await _answer(client[1], status, failure.sentence, (MARK_HEADER, session.mark))
        finally:
            session.tasks.discard(task)

    def _session_of(self, head: Head) -> ProxySession | None:
        given = head.values("proxy-authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return self._sessions.get(key.strip()) if scheme.lower() == "basic" else None

    async def _relay(self, client: Connection, head: Head) -> None:
        method, target, version = _request_line(head)
        if method == "CONNECT":
            host, port = _authority(target, None)
            await self._tunnel(client, host, port)
        elif version == "HTTP/1.1" and target.lower().startswith("http://"):
            await self._forward(client, head, method, target)
        else:
            raise HopFailed("invalid_url", target[:200], "Only absolute http:// requests and CONNECT are served.")

    async def _tunnel(self, client: Connection, host: str, port: int) -> None:
        server = await self._dialer.connect(host, port)
        try:
            client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await join(client, server, self._limits.idle_seconds)
        finally:
            server[1].close()

    async def _forward(self, client: Connection, head: Head, method: str, target: str) -> None:
        host, port, path = _http_target(target)
        body_bytes = _body_bytes(head)
        server = await self._dialer.connect(host, port)
        try:
            authority = join_host_port(host, port).removesuffix(":80")
            server[1].write(head.for_next_hop(f"{method} {path} HTTP/1.1", Host=authority))
            await exchange(client, server, method, body_bytes, self._limits.idle_seconds)
        except BadHead as error:
            raise _bad_answer(error, join_host_port(host, port)) from None
        finally:
            server[1].close()


def _bad_answer(error: BadHead, authority: str) -> HopFailed:
    if isinstance(error, HeadTooLong):
        return HopFailed("headers", authority, f"{authority} sends more headers than browsers take.")
    if isinstance(error, HeadCut):
        return HopFailed("connection", authority, f"{authority} closed the connection without an answer.")
    return HopFailed("not_http", authority, f"{authority} does not speak HTTP: {error}.")


def _request_line(head: Head) -> tuple[str, str, str]:
    parts = head.start.split(" ")
    if len(parts) != 3 or not parts[0].isalpha():
        raise BadHead("the request line is malformed")
    return parts[0], parts[1], parts[2]


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    try:
        return split_host_port(text, default_port)
    except InvalidAddress as error:
        raise HopFailed("invalid_url", text[:200], str(error)) from None


def _http_target(target: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(target)
    except ValueError:
        raise HopFailed("invalid_url", target[:200], "The address is not a URL.") from None
    host, port = _authority(parts.netloc, 80)
    path = target.partition("#")[0].partition("://")[2].removeprefix(parts.netloc)
    return host, port, path if path.startswith("/") else f"/{path}"


def _body_bytes(head: Head) -> int:
    """The request body's length; two different readings of it would let a second request be smuggled in."""
    lengths = set(head.values("content-length"))
    if head.values("transfer-encoding") or len(lengths) > 1 or not all(map(str.isdigit, lengths)):
        raise BadHead("a request body needs one plain Content-Length")
    return int(lengths.pop()) if lengths else 0


async def _answer(writer: asyncio.StreamWriter, status: str, sentence: str, *fields: tuple[str, str]) -> None:
    body = f"{sentence}\n".encode()
    plain = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close")]
    writer.write(encode_head(f"HTTP/1.1 {status}", [*fields, *plain]) + body)
    await writer.drain()
