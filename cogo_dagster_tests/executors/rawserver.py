"""A server that responds to every request with given bytes, valid HTTP or not."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cogo_dagster_tests.ports import accepting


@contextmanager
def answering(reply: bytes, *, close: bool = True) -> Iterator[str]:
    """Serve *reply* on 127.0.0.1, then close the connection or leave it open; yield host:port."""

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65_536)
            client.sendall(reply)
            if close:
                client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):
                pass

    with accepting(answer) as port:
        yield f"127.0.0.1:{port}"
