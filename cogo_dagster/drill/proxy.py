"""A proxy for the database that drops a reply after the database has committed."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from cogo_dagster.queue.connect import connect

_CHUNK_BYTES: Final = 65_536


class LossyProxy:
    """Forwards bytes, and after `lose_reply` closes the connection instead of forwarding one reply.

    Replies are not parsed, so that encrypted connections work too.

    Args:
        server: Opens a new connection to the database server.

    Attributes:
        lost: Number of replies lost so far.
    """

    def __init__(self, server: Callable[[], socket.socket]) -> None:
        self.lost = 0
        self._server = server
        self._lock = threading.Lock()
        self._is_done: Callable[[], bool] | None = None

    def lose_reply(self, is_done: Callable[[], bool]) -> None:
        """Lose the first reply after the work is committed.

        Args:
            is_done: Whether the work is committed; called at each reply.
        """
        with self._lock:
            self._is_done = is_done

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = self._server()
            for source, target, passes in ((client, server, lambda: True), (server, client, self._passes)):
                threading.Thread(target=_pump, args=(source, target, passes), name="drill-proxy", daemon=True).start()

    def _passes(self) -> bool:
        with self._lock:
            if self._is_done is None or not self._is_done():
                return True
            self._is_done = None
            self.lost += 1
            return False


@contextmanager
def lossy_proxy(dsn: str, folder: Path) -> Iterator[tuple[LossyProxy, str]]:
    """Run a proxy for a database; yield it, and the connection string that uses it.

    Args:
        dsn: Connection string of the database.
        folder: Folder for the socket file of the proxy, if the server is reached by a socket file.
    """
    with connect(dsn, application_name="cogo drill") as connection:
        host, address, port = connection.info.host, connection.info.hostaddr, connection.info.port
    if host.startswith("/"):
        # A socket file too, because authentication may depend on it.
        listener = _listener_at(folder / f".s.PGSQL.{port}")
        server, over = partial(_connected_to, f"{host}/.s.PGSQL.{port}"), {"host": str(folder), "hostaddr": ""}
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        server = partial(socket.create_connection, (address or host, port))
        # The name is kept for the verification of certificates; the address is that of the proxy.
        over = {"host": host, "hostaddr": "127.0.0.1", "port": str(listener.getsockname()[1])}
    proxy = LossyProxy(server)
    threading.Thread(target=proxy.serve, args=(listener,), name="drill-proxy", daemon=True).start()
    try:
        yield proxy, make_conninfo(dsn, **over)
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        listener.close()


def _listener_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


def _connected_to(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    return connection


def _pump(source: socket.socket, target: socket.socket, passes: Callable[[], bool]) -> None:
    with contextlib.suppress(OSError):
        while (data := source.recv(_CHUNK_BYTES)) and passes():
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
