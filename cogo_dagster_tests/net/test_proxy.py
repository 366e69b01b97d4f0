"""The forward proxy over real sockets."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import ForwardProxy, ProxyLimits, ProxySession
from cogo_dagster_tests.net.test_dial import names

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """A server behind the proxy, which sends `reply` to every connection and records requests."""

    reply: bytes = OK
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond once and keep the connection open, as a server that ignores `Connection: close`."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        writer.write(self.reply)
        await reader.read()
        writer.close()


@asynccontextmanager
async def listening(serve: Handler) -> AsyncIterator[int]:
    """Run a server on a free port of 127.0.0.1."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def proxied(
    dialer: Dialer | None = None, limits: ProxyLimits | None = None
) -> AsyncIterator[tuple[ForwardProxy, ProxySession]]:
    """Run a proxy with one session."""
    proxy = await ForwardProxy(dialer or Dialer(), limits).start()
    try:
        with proxy.session() as session:
            yield proxy, session
    finally:
        await proxy.stop()


async def connect(proxy: ForwardProxy) -> Connection:
    """Open a connection to the proxy."""
    return await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))


def credential(session: ProxySession) -> str:
    """Return the header line of a session."""
    key = base64.b64encode(f"{session.username}:{session.password}".encode()).decode()
    return f"Proxy-Authorization: Basic {key}\r\n"


async def request(proxy: ForwardProxy, head: str, body: bytes = b"") -> str:
    """Send a request with `Connection: close`, and return all that is received."""
    reader, writer = await connect(proxy)
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer.decode("latin-1")


def test_plain_http_is_forwarded_without_hop_by_hop_fields() -> None:
    """The server receives an ordinary request without the credential."""

    async def scenario() -> None:
        upstream = Upstream()
        async with listening(upstream.serve) as port, proxied(Dialer(AllowList.of([f"127.0.0.1:{port}"]))) as (p, s):
            answer = await request(
                p,
                f"GET http://127.0.0.1:{port}/a?b=c#d HTTP/1.1\r\nHost: lies.example\r\n{credential(s)}"
                "Proxy-Connection: keep-alive\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\nX: y\r\n",
            )
        assert answer.startswith("HTTP/1.1 200 OK\r\n")
        assert "Connection: close" in answer
        assert answer.endswith("ok")
        head = upstream.heads[0].decode()
        assert head == f"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: y\r\nConnection: keep-alive\r\n\r\n"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "given", ["", "Proxy-Authorization: Basic bm9ib2R5Om5vdGhpbmc=\r\n", "Proxy-Authorization: x\r\n"]
)
def test_a_credential_is_required(given: str) -> None:
    """Other programs on this machine cannot use the proxy."""

    async def scenario() -> None:
        async with proxied() as (p, _):
            for line in ("CONNECT example.com:443 HTTP/1.1", "GET http://example.com/ HTTP/1.1"):
                answer = await request(p, f"{line}\r\nHost: example.com\r\n{given}")
                assert answer.startswith("HTTP/1.1 407 ")
                assert 'Proxy-Authenticate: Basic realm="cogo"' in answer

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:{port}",
        "0x7f.1:{port}",
        "localhost:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "nip.example:{port}",
        "0:{port}",
    ],
)
def test_private_targets_are_blocked(target: str) -> None:
    """By CONNECT and plain HTTP in any spelling: a marked 403, a recorded failure, and no connection."""

    async def scenario() -> None:
        upstream = Upstream()
        dialer = Dialer(resolver=names({"nip.example": ["127.0.0.1"] * 2, "localhost": ["127.0.0.1"] * 2}))
        async with listening(upstream.serve) as port, proxied(dialer) as (p, s):
            where = target.format(port=port)
            for line in (f"CONNECT {where} HTTP/1.1", f"GET http://{where}/ HTTP/1.1"):
                answer = await request(p, f"{line}\r\nHost: x\r\n{credential(s)}")
                assert answer.startswith("HTTP/1.1 403 ")
                assert f"x-cogo-proxy: {s.mark}" in answer
                assert "BROWSER_ALLOWED_HOSTS" in answer
            assert [failure.kind for failure in s.failures] == ["blocked_address"] * 2
        assert upstream.heads == []

    asyncio.run(scenario())


def test_unreachable_targets_have_a_reason() -> None:
    """Unknown names, closed ports and invalid addresses have different kinds."""

    async def scenario() -> None:
        async with listening(Upstream().serve) as port:
            pass
        allowed = AllowList.of(["127.0.0.1"])
        async with proxied(Dialer(allowed, names({}))) as (p, s):
            assert (await request(p, f"CONNECT no.example:443 HTTP/1.1\r\n{credential(s)}")).startswith("HTTP/1.1 502 ")
            assert (await request(p, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(s)}")).startswith(
                "HTTP/1.1 502 "
            )
            assert (await request(p, f"CONNECT 1.2.3.4.5:80 HTTP/1.1\r\n{credential(s)}")).startswith("HTTP/1.1 400 ")
            assert [failure.kind for failure in s.failures] == ["dns", "connection", "invalid_url"]

    asyncio.run(scenario())


def test_bodies_are_streamed_in_both_directions() -> None:
    """Bodies larger than any buffer arrive complete."""
    big = bytes(range(256)) * 20_000

    async def scenario() -> None:
        upstream = Upstream(
            reply=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(big), big)
        )

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            upstream.heads.append(head)
            upstream.bodies.append(await reader.readexactly(len(big)))
            writer.write(upstream.reply)
            writer.close()

        async with listening(serve) as port, proxied(Dialer(AllowList.of(["127.0.0.1"]))) as (p, s):
            head = f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: {len(big)}\r\n{credential(s)}"
            answer = await request(p, head, big)
        assert upstream.bodies == [big]
        assert answer.encode("latin-1").endswith(big)

    asyncio.run(scenario())


def test_a_tunnel_ends_with_its_session() -> None:
    """At the end of the session its connections are closed and its credential is revoked."""

    async def scenario() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while chunk := await reader.read(1000):
                writer.write(chunk)
            writer.close()

        async with listening(echo) as port:
            proxy = await ForwardProxy(Dialer(AllowList.of(["127.0.0.1"]))).start()
            with proxy.session() as session:
                connecting = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(session)}\r\n".encode()
                reader, writer = await connect(proxy)
                writer.write(connecting)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            assert (await request(proxy, connecting.decode()[:-2])).startswith("HTTP/1.1 407 ")
            await proxy.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        "POST http://127.0.0.1:{port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        "POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: +1\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\n folded: header\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nname : value\r\n",
        "GET  http://127.0.0.1:{port}/ HTTP/1.1\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nX: " + "a" * 70_000 + "\r\n",
    ],
)
def test_ambiguous_or_oversized_requests_are_dropped(head: str) -> None:
    """Requests that parsers could read differently do not reach the server."""

    async def scenario() -> None:
        upstream = Upstream()
        async with listening(upstream.serve) as port, proxied(Dialer(AllowList.of(["127.0.0.1"]))) as (p, s):
            answer = await request(p, head.format(port=port) + credential(s))
        assert "200" not in answer.partition("\r\n")[0]
        assert upstream.heads == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "line", ["GET / HTTP/1.1", "GET https://example.com/ HTTP/1.1", "CONNECT example.com HTTP/1.1"]
)
def test_only_absolute_http_and_connect_are_supported(line: str) -> None:
    """Other requests are rejected with 400."""

    async def scenario() -> None:
        async with proxied() as (p, s):
            assert (await request(p, f"{line}\r\nHost: example.com\r\n{credential(s)}")).startswith("HTTP/1.1 400 ")

    asyncio.run(scenario())


def test_idle_connections_are_closed() -> None:
    """An idle tunnel and a client without a request are closed after their timeouts."""

    async def scenario() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        limits = ProxyLimits(idle_seconds=0.05, head_seconds=0.05)
        async with listening(mute) as port, proxied(Dialer(AllowList.of(["127.0.0.1"])), limits) as (p, s):
            answer = await request(p, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(s)}")
            assert answer == "HTTP/1.1 200 Connection established\r\n\r\n"
            reader, writer = await connect(p)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    asyncio.run(scenario())


def test_the_number_of_connections_is_limited() -> None:
    """A connection above the limit is closed."""

    async def scenario() -> None:
        async with proxied(limits=ProxyLimits(connections=1)) as (p, s):
            first, second = await connect(p), await connect(p)
            assert await asyncio.wait_for(second[0].read(), 10) == b""
            first[1].write(f"GET / HTTP/1.1\r\n{credential(s)}\r\n".encode())
            assert await asyncio.wait_for(first[0].read(), 10)
            first[1].close()
            second[1].close()

    asyncio.run(scenario())


def test_an_invalid_response_is_reported() -> None:
    """For a missing, invalid or too long head the proxy responds with 502 and a kind."""

    async def scenario() -> None:
        allowed = Dialer(AllowList.of(["127.0.0.1"]))
        for reply, kind in (
            (b"", "connection"),
            (b"HTT", "connection"),
            (b"HTTP/1.1 200 OK\r\nA: b", "connection"),
            (b"SSH-2.0-x\r\n\r\n", "not_http"),
            (b"\0\n", "not_http"),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not_http"),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 300_000 + b"\r\n\r\n", "headers"),
        ):

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: bytes = reply) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                writer.close()

            async with listening(serve) as port, proxied(allowed) as (p, s):
                answer = await request(p, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n{credential(s)}")
                assert answer.startswith("HTTP/1.1 502 ")
                assert f"x-cogo-proxy: {s.mark}" in answer
                assert s.failures[-1].kind == kind

    asyncio.run(scenario())


def test_stop_closes_all_connections() -> None:
    """After `stop` neither a connection nor the port is open."""

    async def scenario() -> None:
        proxy = await ForwardProxy(Dialer()).start()
        reader, writer = await connect(proxy)
        port = int(proxy.url.rpartition(":")[2])
        await asyncio.wait_for(proxy.stop(), 10)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(scenario())
