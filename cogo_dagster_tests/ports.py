"""Ports for servers that take one as an argument, and small servers."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a free port of 127.0.0.1 that the system assigns to no other socket during the block.

    The server that listens on it must set SO_REUSEADDR.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":  # elsewhere a second socket cannot bind to it
            held.close()
        yield port


@contextmanager
def accepting(take: Callable[[socket.socket], object]) -> Iterator[int]:
    """Pass the connections to a new port of 127.0.0.1, one after another, to a function in a thread; yield the port.

    The thread closes its listener itself. If another thread closed it just before `accept` is called, the next listener
    of this process could get the same descriptor, and this thread would accept its connections.
    """
    listener, ended = socket.create_server(("127.0.0.1", 0), backlog=50), threading.Event()
    address = listener.getsockname()

    def serve() -> None:
        with listener:
            while True:
                client, _ = listener.accept()
                if ended.is_set():
                    client.close()
                    return
                take(client)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield address[1]
    finally:
        ended.set()
        with suppress(OSError):
            socket.create_connection(address, 5).close()  # wakes it


def wait_for_response(url: str, seconds: float = 60) -> None:
    """Wait until a server that is starting responds, with any status."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.05)
