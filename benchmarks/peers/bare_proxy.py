"""A forward proxy that does nothing but forward: no checks, no credentials, no limits, no framing of responses.

`python -m benchmarks.peers.bare_proxy` prints its port. It is enough for pages of plain HTTP that send no request
bodies, and shows what a proxy costs at least.
"""

import asyncio
import sys
from urllib.parse import urlsplit


class _Client(asyncio.Protocol):
    """A connection of the browser, with one server connection for each origin."""

    def __init__(self) -> None:
        self._servers: dict[str, asyncio.Transport] = {}
        self._buffer = b""
        self._work: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._forward())

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - signature of asyncio
        for server in self._servers.values():
            server.close()

    async def _forward(self) -> None:
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            first, _, rest = head.partition(b"\r\n")
            method, url, version = first.decode("latin-1").split(" ")
            if method == "CONNECT":
                self.transport.close()
                return
            parts = urlsplit(url)
            server = self._servers.get(parts.netloc)
            if server is None or server.is_closing():
                server = self._servers[parts.netloc] = await self._connected(parts.hostname or "", parts.port or 80)
            path = url.split(parts.netloc, 1)[1] or "/"
            server.write(f"{method} {path} {version}\r\n".encode("latin-1") + rest + b"\r\n\r\n")

    async def _connected(self, host: str, port: int) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: _Server(self), host, port)
        return transport


class _Server(asyncio.Protocol):
    """A connection to a server."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - signature of asyncio
        self._client.transport.close()


async def main() -> None:
    """Forward until standard input is closed, which happens at the latest when the loop has ended."""
    server = await asyncio.get_running_loop().create_server(_Client, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
