"""Persistent connections of the forward proxy: consecutive requests, and the ways in which connections end."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import ForwardProxy, ProxyLimits, ProxySession
from cogo_dagster_tests.net.test_proxy import Connection, connect, credential, listening, proxied

LOCAL = Dialer(AllowList.of(["127.0.0.1"]))


@dataclass
class Server:
    """A server with persistent connections, each closed after `lifetime` responses.

    Attributes:
        reply: The response to every request.
        connections: Number of accepted connections.
        heads: Received heads.
    """

    reply: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    lifetime: int = 1_000
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to requests until the client disconnects."""
        self.connections += 1
        for _ in range(self.lifetime):
            try:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            writer.write(self.reply)
        writer.close()
        await writer.wait_closed()
        self.idle.set()


def get(port: int, session: ProxySession, more: str = "", method: str = "GET") -> bytes:
    """Return a request of a session."""
    return f"{method} http://127.0.0.1:{port}/ HTTP/1.1\r\n{credential(session)}{more}\r\n".encode()


async def response(connection: Connection) -> tuple[str, bytes]:
    """Read one response with a Content-Length; return its head and body."""
    head = (await asyncio.wait_for(connection[0].readuntil(b"\r\n\r\n"), 10)).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
    return head, await asyncio.wait_for(connection[0].readexactly(length), 10)


async def read_to_end(connection: Connection) -> bytes:
    """Read until the proxy closes; unread bytes of the client cause a reset instead."""
    try:
        return await connection[0].read()
    except ConnectionResetError:
        return b""


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; its remaining objects must not raise when they are collected."""
    gc.disable()  # so that the youngest generation holds all that the scenario created, and nothing older
    try:
        asyncio.run(scenario())  # type: ignore[arg-type]
        gc.collect(0)
    finally:
        gc.enable()


def test_requests_to_one_host_reuse_both_connections() -> None:
    """Each request on the connection needs the credential."""

    async def scenario() -> None:
        server = Server()
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            for _ in range(3):
                client[1].write(get(port, session))
                head, body = await response(client)
                assert "Connection: keep-alive" in head
                assert body == b"ok"
            client[1].write(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())
            assert (await response(client))[0].startswith("HTTP/1.1 407 ")
            assert await asyncio.wait_for(client[0].read(), 10) == b""
            client[1].close()
        assert (server.connections, len(server.heads)) == (1, 3)
        assert all(b"proxy-authorization" not in head.lower() for head in server.heads)

    run(scenario)


def test_another_host_is_checked_again() -> None:
    """A connection to an allowed port does not give access to another one."""

    async def scenario() -> None:
        first, second = Server(), Server()
        async with listening(first.serve) as port, listening(second.serve) as other:
            dialer = Dialer(AllowList.of([f"127.0.0.1:{port}"]))
            async with proxied(dialer) as (proxy, session):
                client = await connect(proxy)
                client[1].write(get(port, session))
                assert (await response(client))[0].startswith("HTTP/1.1 200 ")
                client[1].write(get(other, session))
                assert (await response(client))[0].startswith("HTTP/1.1 403 ")
                client[1].close()
        assert (first.connections, second.connections) == (1, 0)

    run(scenario)


def test_pipelined_requests_are_handled_in_order() -> None:
    """Thousands of requests wait in the proxy, and none reaches the server as the body of another."""

    async def scenario() -> None:
        server = Server(lifetime=3_000)
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session) * 2_000)
            for _ in range(2_000):
                assert (await response(client))[1] == b"ok"
            client[1].close()
        assert (server.connections, len(server.heads)) == (1, 2_000)

    run(scenario)


def test_bytes_after_a_body_are_a_new_request() -> None:
    """Without a credential such a request is rejected."""

    async def scenario() -> None:
        server = Server()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server.heads.append(await reader.readuntil(b"\r\n\r\n"))
            server.heads.append(await reader.readexactly(4))
            writer.write(server.reply)
            server.heads.append(await reader.read())
            server.idle.set()
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            smuggled = f"GET http://127.0.0.1:{port}/secret HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            client[1].write(get(port, session, "Content-Length: 4\r\n", "POST") + b"body" + smuggled)
            assert (await response(client))[0].startswith("HTTP/1.1 200 ")
            assert (await response(client))[0].startswith("HTTP/1.1 407 ")
            client[1].close()
            await asyncio.wait_for(server.idle.wait(), 10)
        assert server.heads[1:] == [b"body", b""]

    run(scenario)


def test_a_request_on_a_closed_connection_is_repeated() -> None:
    """Servers may close idle connections; a request without a body is sent on a new connection."""

    async def scenario() -> None:
        server = Server(lifetime=1)
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            for _ in range(3):
                client[1].write(get(port, session))
                assert (await response(client))[1] == b"ok"
            client[1].close()
        assert server.connections == 3

    run(scenario)


def test_a_request_is_repeated_only_once() -> None:
    """A new connection that closes without a response is an error."""

    async def scenario() -> None:
        opened: list[int] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append(1)
            await reader.readuntil(b"\r\n\r\n")
            if len(opened) == 1:
                writer.write(Server.reply)
                await reader.readuntil(b"\r\n\r\n")
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session))
            await response(client)
            client[1].write(get(port, session))
            assert (await response(client))[0].startswith("HTTP/1.1 502 ")
            client[1].close()
        assert len(opened) == 2

    run(scenario)


def test_a_body_is_not_sent_twice() -> None:
    """A POST on a closed connection closes the client connection, and the browser decides whether to repeat it."""

    async def scenario() -> None:
        bodies: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(Server.reply)
            await reader.readuntil(b"\r\n\r\n")
            bodies.append(await reader.readexactly(4))
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session))
            await response(client)
            client[1].write(get(port, session, "Content-Length: 4\r\n", "POST") + b"body")
            assert await asyncio.wait_for(client[0].read(), 10) == b""
            client[1].close()
        assert bodies == [b"body"]

    run(scenario)


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    b"5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_chunks_are_forwarded_unchanged(size: int) -> None:
    """Chunks may be split anywhere, and the connections are reused."""

    async def scenario() -> None:
        opened: list[int] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append(1)
            while (await reader.readuntil(b"\r\n\r\n"))[:3] == b"GET":
                for at in range(0, len(CHUNKED), size):
                    writer.write(CHUNKED[at : at + size])
                    await writer.drain()
                    await asyncio.sleep(0)

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            for _ in range(2):
                client[1].write(get(port, session))
                head = await asyncio.wait_for(client[0].readuntil(b"\r\n\r\n"), 10)
                assert b"Transfer-Encoding: chunked" in head
                body = CHUNKED.partition(b"\r\n\r\n")[2]
                assert await asyncio.wait_for(client[0].readexactly(len(body)), 10) == body
            client[1].close()
        assert len(opened) == 1

    run(scenario)


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nabc", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nno size", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 40_000, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_responses_arrive_complete(reply: bytes, kept: bool) -> None:
    """A response that ends with the server connection ends the client connection; no bytes are added or lost."""

    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            if kept:
                await reader.read()
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session, "" if not kept else "Connection: close\r\n"))
            answer = await asyncio.wait_for(client[0].read(), 10)
            client[1].close()
        assert answer.rpartition(b"\r\n\r\n")[2] == reply.rpartition(b"\r\n\r\n")[2]
        assert len(answer.partition(b"\r\n\r\n")[2]) >= len(reply.partition(b"\r\n\r\n")[2])

    run(scenario)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_truncated_body_closes_the_client_connection(method: str) -> None:
    """A response to HEAD has no body and is not truncated."""

    async def scenario() -> None:
        server = Server(reply=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + (b"" if method == "HEAD" else b"abc"))
        server.lifetime = 1 if method == "GET" else 1_000
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            for _ in range(2 if method == "HEAD" else 1):
                client[1].write(get(port, session, method=method))
                await asyncio.wait_for(client[0].readuntil(b"\r\n\r\n"), 10)
            if method == "GET":
                assert await asyncio.wait_for(client[0].read(), 10) == b"abc"
            client[1].close()
        assert server.connections == 1

    run(scenario)


def test_unsolicited_bytes_close_the_server_connection() -> None:
    """They must not become the response to the next request."""

    async def scenario() -> None:
        server = Server(reply=Server.reply + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            for _ in range(3):
                client[1].write(get(port, session))
                assert (await response(client))[1] == b"ok"
            client[1].close()
        assert server.connections == 3

    run(scenario)


def test_a_slow_request_head_times_out() -> None:
    """The timeout covers the whole head of the first and of later requests, and is not extended by received bytes."""

    async def scenario() -> None:
        server = Server()
        limits = ProxyLimits(head_seconds=0.2, idle_seconds=30)
        async with listening(server.serve) as port, proxied(LOCAL, limits) as (proxy, session):
            for requests_before in (0, 1):
                client = await connect(proxy)
                for _ in range(requests_before):
                    client[1].write(get(port, session))
                    await response(client)
                reading = asyncio.ensure_future(read_to_end(client))
                for byte in get(port, session)[:-1]:
                    if reading.done():
                        break
                    client[1].write(bytes([byte]))
                    await asyncio.sleep(0.01)
                assert await asyncio.wait_for(reading, 10) == b""
                client[1].close()

    run(scenario)


@dataclass
class Flow:
    """A transfer of 64 MiB.

    Attributes:
        size: Number of bytes to send.
        sent: Number of bytes sent.
        stalled_at: Number of bytes sent when the sender was blocked.
    """

    size: int = 64 * 1024 * 1024
    sent: int = 0
    stalled_at: int = 0

    async def send(self, writer: asyncio.StreamWriter) -> None:
        """Send all bytes as fast as they are accepted."""
        block = b"x" * 65_536
        while self.sent < self.size:
            writer.write(block)
            await writer.drain()
            self.sent += len(block)

    async def receive(self, reader: asyncio.StreamReader) -> None:
        """Receive nothing until the sender is blocked, then everything."""
        before = -1
        while before != self.sent:
            before = self.sent
            await asyncio.sleep(0.2)
        self.stalled_at, left = self.sent, self.size
        while left:
            left -= len(await asyncio.wait_for(reader.read(min(left, 1 << 20)), 10))


@pytest.mark.parametrize("tunnel", [False, True])
def test_a_slow_client_pauses_the_server(tunnel: bool) -> None:
    """The proxy does not buffer a whole body, and everything arrives."""

    async def scenario() -> None:
        flow = Flow()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % flow.size)
            await flow.send(writer)
            await reader.read()
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            if tunnel:
                client[1].write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(session)}\r\n".encode())
                await client[0].readuntil(b"\r\n\r\n")
            client[1].write(get(port, session))
            await client[0].readuntil(b"\r\n\r\n")
            await flow.receive(client[0])
            client[1].close()
        assert 0 < flow.stalled_at < flow.size // 2

    run(scenario)


def test_a_slow_server_pauses_the_client() -> None:
    """An upload is paused, and the response arrives after the server has read it."""

    async def scenario() -> None:
        flow = Flow()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await flow.receive(reader)
            writer.write(Server.reply)
            await reader.read()
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session, f"Content-Length: {flow.size}\r\n", "POST"))
            await flow.send(client[1])
            assert (await response(client))[1] == b"ok"
            client[1].close()
        assert 0 < flow.stalled_at < flow.size // 2

    run(scenario)


def test_a_tunnel_ends_after_both_directions() -> None:
    """The end of one direction is forwarded, and the other one stays open."""

    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            everything = await reader.read()
            writer.write(everything[::-1] * 1_000)
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            reader, writer = await connect(proxy)
            writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(session)}\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"abc")
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 10) == b"cba" * 1_000
            writer.close()
            async with asyncio.timeout(10):
                while session.connections:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.01)

    run(scenario)


def test_bytes_sent_with_a_connect_request_reach_the_server() -> None:
    """A client may send TLS data before the tunnel is confirmed."""

    async def scenario() -> None:
        arrived = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set_result(await reader.readexactly(5))
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            _, writer = await connect(proxy)
            writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{credential(session)}\r\nhello".encode())
            assert await asyncio.wait_for(arrived, 10) == b"hello"
            writer.close()

    run(scenario)


@pytest.mark.parametrize("end", ["client", "session", "proxy"])
def test_pending_connections_are_cancelled(end: str) -> None:
    """A lookup or a request is cancelled when the client, the session or the proxy ends."""

    async def scenario() -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            started.set()
            await reader.read()
            ended.set()
            writer.close()

        async def resolve(host: str) -> list[str]:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return [host]

        async with listening(serve) as port:
            for target in (f"127.0.0.1:{port}", "slow.example"):
                started.clear()
                ended.clear()
                proxy = await ForwardProxy(Dialer(AllowList.of(["127.0.0.1"]), resolve)).start()
                with proxy.session() as session:
                    client = await connect(proxy)
                    client[1].write(f"GET http://{target}/ HTTP/1.1\r\n{credential(session)}\r\n".encode())
                    await asyncio.wait_for(started.wait(), 10)
                    if end == "client":
                        client[1].close()
                    elif end == "proxy":
                        await proxy.stop()
                    if end != "session":
                        await asyncio.wait_for(ended.wait(), 10)
                await asyncio.wait_for(ended.wait(), 10)
                client[1].close()
                await proxy.stop()

    run(scenario)


def test_a_response_before_the_end_of_the_body_closes_the_connection() -> None:
    """The rest of the body must not be read as a request."""

    async def scenario() -> None:
        heads: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        async with listening(serve) as port, proxied(LOCAL) as (proxy, session):
            client = await connect(proxy)
            client[1].write(get(port, session, "Content-Length: 1000\r\n", "POST") + b"x" * 10)
            assert (await response(client))[0].startswith("HTTP/1.1 413 ")
            assert await asyncio.wait_for(client[0].read(), 10) == b""
            client[1].close()
        assert len(heads) == 1

    run(scenario)


def test_a_servers_407_is_not_taken_for_one_of_the_proxy() -> None:
    """The status 407 of a server becomes 502 without its challenge; the body is kept."""

    async def scenario() -> None:
        head = b"HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno"
        server = Server(reply=head)
        async with listening(server.serve) as port, proxied(LOCAL) as (proxy, session):
            connection = await connect(proxy)
            connection[1].write(get(port, session))
            answer, body = await response(connection)
            assert answer.startswith("HTTP/1.1 502 ")
            assert "x-cogo-status: 407" in answer
            assert "proxy-authenticate" not in answer.lower()
            assert body == b"no"
            connection[1].close()

    run(scenario)
