"""Ports for servers that must be told one before they start, and servers of a few lines."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def reserved_port() -> Iterator[int]:
    """Lend a port of 127.0.0.1 that the system gives to nobody else meanwhile.

    Whoever listens on it sets SO_REUSEADDR, as servers do.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":  # elsewhere nobody else can be bound to it meanwhile
            held.close()
        yield port


@contextmanager
def accepting(take: Callable[[socket.socket], object]) -> Iterator[int]:
    """Hand the connections to a new port of 127.0.0.1, one after the other, to a function in a thread; lend the port.

    The thread closes its listener itself. Were it closed by another thread just before the call of `accept`, the next
    listener of this process could get the same descriptor, and the thread would take that one's connections.
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
