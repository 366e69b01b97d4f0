"""A limit for a whole HTTP exchange: httpx bounds only each wait of it, so that a peer that drips is never done."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from cogo_dagster.queue.threads import within

_until: ContextVar[float | None] = ContextVar("exchange_until", default=None)

SocketOptions = Iterable[Any]


@contextmanager
def exchange_limit(seconds: float) -> Iterator[None]:
    """Let the exchanges made in here, by clients made with `bounded`, end within so many seconds together."""
    before = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(before)


def bounded(client: httpx.Client) -> httpx.Client:
    """Return the client with its connections, through a proxy or not, held to `exchange_limit`."""
    # httpx has no parameter for what httpcore calls the network backend.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    return client


class _Backend(httpcore.NetworkBackend):
    """Opens connections within their time, whatever the name server and each of the server's addresses do."""

    def __init__(self, behind: httpcore.NetworkBackend) -> None:
        self._behind = behind

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.ConnectTimeout("finding the server took too long")
        if seconds is None:
            return _Stream(self._behind.connect_tcp(host, port, timeout, local_address, socket_options))
        try:
            stream = within(
                seconds,
                lambda: self._behind.connect_tcp(host, port, seconds, local_address, socket_options),
                lambda late: late.close(),
            )
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no connection within {seconds:.1f} s") from None
        except RuntimeError as error:  # this process may start no more threads
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(stream)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._behind.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """A connection on which the time of the whole exchange counts."""

    def __init__(self, behind: httpcore.NetworkStream) -> None:
        self._behind = behind

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.ReadTimeout("the answer took too long")
        return self._behind.read(max_bytes, seconds)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.WriteTimeout("the request took too long")
        self._behind.write(buffer, seconds)

    def close(self) -> None:
        """Close."""
        self._behind.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on encrypted."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.ConnectTimeout("finding the server took too long")
        return _Stream(self._behind.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._behind.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = until - time.monotonic()
    return left if timeout is None else min(left, timeout)
