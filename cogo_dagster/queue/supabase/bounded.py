"""A timeout for a whole HTTP exchange: httpx limits single waits only, so a peer that sends slowly never times out."""

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
    """Limit the exchanges in this context, by clients made with `bounded`, to the given time in total."""
    before = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(before)


def bounded(client: httpx.Client) -> httpx.Client:
    """Return the client with `exchange_limit` applied to its connections, including those through a proxy."""
    # httpx has no parameter for httpcore's network backend.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    return client


class _Backend(httpcore.NetworkBackend):
    """Opens connections within the limit, including name resolution and all addresses of the server."""

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
            raise httpcore.ConnectTimeout("resolving the server's name took too long")
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
        except RuntimeError as error:  # no more threads can be started
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(stream)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._behind.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """A connection on which the limit of the whole exchange applies."""

    def __init__(self, behind: httpcore.NetworkStream) -> None:
        self._behind = behind

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read the available bytes."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.ReadTimeout("the response took too long")
        return self._behind.read(max_bytes, seconds)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.WriteTimeout("the request took too long")
        self._behind.write(buffer, seconds)

    def close(self) -> None:
        """Close the connection."""
        self._behind.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Start TLS."""
        seconds = _left(timeout)
        if seconds is not None and seconds <= 0:
            raise httpcore.ConnectTimeout("resolving the server's name took too long")
        return _Stream(self._behind.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        """Return information about the connection."""
        return self._behind.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = until - time.monotonic()
    return left if timeout is None else min(left, timeout)
