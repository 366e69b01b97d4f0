"""Stream bytes between a client and a server, both ways, until one of them ends or both fall silent."""

import asyncio
from collections.abc import Collection
from typing import Any

from cogo_dagster.net.dial import Connection
from cogo_dagster.net.http_head import BadHead, Head, HeadCut, encode_head, read_head

CHUNK_BYTES = 64 * 1024


class IdleTimer:
    """Notices when nothing has moved in either direction for a while.

    Args:
        idle_seconds: How long that is.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self.broken()

    def broken(self) -> None:
        """Something moved."""
        self._until = self._loop.time() + self._idle_seconds

    async def reached(self) -> None:
        """Return when nothing has moved for long enough."""
        while (left_seconds := self._until - self._loop.time()) > 0:  # noqa: ASYNC110 - no task per chunk this way
            await asyncio.sleep(left_seconds)


async def join(client: Connection, server: Connection, idle_seconds: float) -> None:
    """Copy both ways until both have ended, one breaks, or both are silent for *idle_seconds*."""
    silence = IdleTimer(idle_seconds)
    up = asyncio.create_task(_pump(client[0], server[1], silence, pass_end=True))
    down = asyncio.create_task(_pump(server[0], client[1], silence, pass_end=True))
    watch = asyncio.create_task(silence.reached())
    try:
        while not watch.done() and not (up.done() and down.done()):
            done, _ = await asyncio.wait({up, down, watch} - _ended(up, down), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        await cancel_all({up, down, watch})


async def exchange(client: Connection, server: Connection, method: str, body_bytes: int, idle_seconds: float) -> None:
    """Send the rest of one request (its body) on and stream the response back.

    Ends with the response, when the client leaves, or after *idle_seconds* of silence.

    Raises:
        BadHead: The server's answer is not HTTP/1.
    """
    silence = IdleTimer(idle_seconds)
    upload = asyncio.create_task(_pump(client[0], server[1], silence, body_bytes))
    gone = asyncio.create_task(_client_gone(upload, client[0]))
    download = asyncio.create_task(_respond(server[0], client[1], silence, method))
    watch = asyncio.create_task(silence.reached())
    try:
        await asyncio.wait({gone, download, watch}, return_when=asyncio.FIRST_COMPLETED)
        if download.done():
            download.result()
    finally:
        await cancel_all({upload, gone, download, watch})


async def cancel_all(tasks: Collection["asyncio.Future[Any]"]) -> None:
    """Cancel tasks and wait until they have ended, whatever they raise."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ended(*tasks: asyncio.Task[None]) -> set[asyncio.Task[None]]:
    return {task for task in tasks if task.done()}


async def _client_gone(upload: asyncio.Task[None], reader: asyncio.StreamReader) -> None:
    """Return when the client has left after its request."""
    await asyncio.wait({upload})
    while await reader.read(CHUNK_BYTES):
        pass  # a pipelined request: it was told `Connection: close` and has to ask again elsewhere


async def _respond(server: asyncio.StreamReader, client: asyncio.StreamWriter, silence: IdleTimer, method: str) -> None:
    while True:
        head = await read_head(server, b"HTTP/")
        if head is None:
            raise HeadCut("the server closed the connection without an answer")
        status = head.start.split(" ")[1:2] if head.start.startswith("HTTP/1.") else []
        if not status or not status[0].isdigit() or status[0] == "101":
            raise BadHead("the server did not answer with HTTP/1")
        silence.broken()
        if not status[0].startswith("1"):
            break
        client.write(encode_head(head.start, list(head.fields)))
    client.write(head.for_next_hop(head.start))
    await _pump(server, client, silence, _response_bytes(head, method, status[0]))


def _response_bytes(head: Head, method: str, status: str) -> int | None:
    """Return the length of a response's body, or None where only the connection's end tells; RFC 9112, 6.3."""
    if method == "HEAD" or status in ("204", "304"):
        return 0
    lengths = set(head.values("content-length"))
    if head.values("transfer-encoding") or len(lengths) != 1:
        return None
    length = lengths.pop()
    return int(length) if length.isdigit() else None


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    silence: IdleTimer,
    left_bytes: int | None = None,
    *,
    pass_end: bool = False,
) -> None:
    """Copy until the end, or *left_bytes*; with *pass_end*, close the writing side after it."""
    while left_bytes is None or left_bytes > 0:
        chunk = await reader.read(CHUNK_BYTES if left_bytes is None else min(left_bytes, CHUNK_BYTES))
        if not chunk:
            break
        left_bytes = None if left_bytes is None else left_bytes - len(chunk)
        writer.write(chunk)
        await writer.drain()
        silence.broken()
    if pass_end and writer.can_write_eof():
        writer.write_eof()
