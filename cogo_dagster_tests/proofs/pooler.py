"""A real pgbouncer before a test's server."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg

from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.servers import HOMES

Mode = Literal["session", "transaction"]

_CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user} password={password} {connect_query}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
max_client_conn = 200
server_round_robin = {round_robin}
logfile =
"""


@contextmanager
def pooled(dsn: str, mode: Mode, *, role: str | None = None, round_robin: bool = False) -> Iterator[str]:
    """Yield the URL of a database behind pgbouncer.

    Args:
        mode: The pool mode.
        role: The role of every server connection; in mode `transaction`, a role set by the client is not kept.
        round_robin: Whether to use the server connection that was idle longest, instead of the last one returned.
    """
    program, address = pgbouncer(), urlsplit(dsn)
    with TemporaryDirectory(prefix="cogo-pooler-") as folder:
        port = _free_port()
        configuration = Path(folder, "pgbouncer.ini")
        configuration.write_text(
            _CONFIGURATION.format(
                host=address.hostname,
                server_port=address.port,
                user=address.username,
                password=address.password,
                connect_query=f"connect_query='set role {role}'" if role else "",
                port=port,
                mode=mode,
                round_robin=int(round_robin),
            )
        )
        command = [program, str(configuration)]
        if os.geteuid() == 0:  # pgbouncer does not run as root
            account = pwd.getpwnam("postgres")
            for path in (Path(folder), configuration):
                os.chown(path, account.pw_uid, account.pw_gid)
            command[1:1] = ["-u", "postgres"]
        by_way = urlunsplit(address._replace(netloc=f"cogo@127.0.0.1:{port}"))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _await(by_way, process)
                yield by_way
            finally:
                process.terminate()


def pgbouncer() -> str:
    """Return the program; installed if this is root on Debian, otherwise the test is skipped without it."""
    HOMES.mkdir(mode=0o711, exist_ok=True)
    with locked(HOMES / "install.lock"):
        [found] = required("pgbouncer")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _await(dsn: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert process.poll() is None, "pgbouncer ended."
            assert time.monotonic() < deadline, "pgbouncer does not answer."
            time.sleep(0.02)
        else:
            return
