"""A server that responds to every request with given bytes, valid HTTP or not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def answering(reply: bytes, *, close: bool = True) -> Iterator[str]:
    """Serve *reply* on 127.0.0.1, then close the connection or leave it open; yield host:port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, reply, close), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _serve(server: socket.socket, reply: bytes, close: bool) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            try:
                client.recv(65_536)
                client.sendall(reply)
                if close:
                    client.shutdown(socket.SHUT_WR)
                while client.recv(65_536):
                    pass
            except OSError:
                continue
