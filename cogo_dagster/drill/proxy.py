"""A proxy before the database that loses a reply when told to, after the database has committed."""

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
    """Passes bytes on, and closes the connection in place of the next reply after `lose_reply`.

    The reply to one statement in autocommit, if it is no longer than the server's send buffer of 8 kB, is sent after
    the commit. It need not be read, so that encrypted connections work too.

    Args:
        server: Opens a new connection to the database server.

    Attributes:
        lost: Replies that were lost so far.
    """

    def __init__(self, server: Callable[[], socket.socket]) -> None:
        self.lost = 0
        self._server = server
        self._lock = threading.Lock()
        self._look: Callable[[], object] | None = None
        self._asked = False

    def lose_reply(self, look: Callable[[], object]) -> None:
        """Lose the reply to the next request.

        Args:
            look: Called when the reply has come, before the client's connection is closed.
        """
        with self._lock:
            self._look, self._asked = look, False

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = self._server()
            for source, target, passes in ((client, server, self._ask), (server, client, self._reply)):
                threading.Thread(target=_pump, args=(source, target, passes), name="drill-proxy", daemon=True).start()

    def _ask(self) -> bool:
        with self._lock:
            self._asked = self._look is not None
        return True

    def _reply(self) -> bool:
        with self._lock:
            if self._look is None or not self._asked:
                return True
            look, self._look, self._asked = self._look, None, False
            self.lost += 1
        look()
        return False


@contextmanager
def lossy_proxy(dsn: str, folder: Path) -> Iterator[tuple[LossyProxy, str]]:
    """Put a proxy before a database; yield it, and the connection string that leads over it.

    Args:
        dsn: The database.
        folder: Where to put the proxy's socket file if the server is reached over one.
    """
    with connect(dsn, application_name="cogo drill") as connection:
        host, address, port = connection.info.host, connection.info.hostaddr, connection.info.port
    if host.startswith("/"):
        # Over a socket file too: whom the server takes the client for may depend on it.
        listener = _listener_at(folder / f".s.PGSQL.{port}")
        server, over = partial(_connected_to, f"{host}/.s.PGSQL.{port}"), {"host": str(folder), "hostaddr": ""}
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        server = partial(socket.create_connection, (address or host, port))
        # The name stays, since certificates are checked against it; the address is the proxy's.
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
