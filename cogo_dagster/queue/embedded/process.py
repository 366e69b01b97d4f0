"""The server as a process: starting it apart from us, telling whether it lives, stopping it."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from cogo_dagster.queue.embedded.account import Account
from cogo_dagster.queue.embedded.cluster import ENVIRONMENT
from cogo_dagster.queue.embedded.files import Postmaster, ServerFiles, is_postmaster
from cogo_dagster.queue.embedded.locks import is_held, lock, open_lock
from cogo_dagster.queue.errors import DatabaseUnavailable

STOP_SECONDS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))
"""How to ask for the end, and how long to wait: ending transactions first, then without a checkpoint."""

POLL_SECONDS = 0.005
LARGEST_LOG_BYTES = 5_000_000


def is_alive(files: ServerFiles) -> bool:
    """Whether the server we started, or a child of it, still lives.

    They inherited a locked file, so neither a reused process number nor a restart of the machine can mislead.
    """
    return is_held(files.server_lock)


def launch(files: ServerFiles, account: Account, command: Sequence[str]) -> int:
    """Start the server in a session of its own and return the log's length in bytes before it said anything."""
    _remove_stale_note(files)
    if files.log.exists() and files.log.stat().st_size > LARGEST_LOG_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    with open_lock(files.server_lock) as held, files.log.open("ab") as log:
        lock(held)
        before_bytes = log.tell()
        # The shell ends at once, so that nobody has to bury the server when it dies.
        subprocess.run(  # noqa: S603 - the programs of the package, never a user's words
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[held.fileno()],
            check=True,
            cwd=files.data.resolve(),
            env=ENVIRONMENT,
            start_new_session=True,
            **account.popen_options(),
        )
    return before_bytes


def terminate(files: ServerFiles) -> None:
    """Stop the server and wait for its end; nothing happens if none lives.

    Raises:
        DatabaseUnavailable: It does not end.
    """
    for number, patience_seconds in STOP_SECONDS:
        found = Postmaster.read(files.data)
        if found and is_postmaster(found.pid, files.data):
            os.kill(found.pid, number)
        deadline = time.monotonic() + patience_seconds
        while is_alive(files):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        else:
            return
    raise DatabaseUnavailable(f"The database does not stop: see {files.log}, then end its processes by hand.")


def choose_port(wanted: int | None) -> int:
    """Return the wanted TCP port of 127.0.0.1 if it is free, else another that is."""
    # Below what systems hand out for outgoing connections, so that it is still free after a restart.
    for port in filter(None, (wanted, *random.sample(range(20_000, 30_000), 100))):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DatabaseUnavailable("No TCP port between 20000 and 30000 is free on 127.0.0.1: end what takes them.")


def _remove_stale_note(files: ServerFiles) -> None:
    note = files.data / "postmaster.pid"
    found = Postmaster.read(files.data)
    if found and is_postmaster(found.pid, files.data):
        raise DatabaseUnavailable(
            f"A server started by hand (process {found.pid}) uses {files.data.resolve()}: stop it first (pg_ctl stop)."
        )
    # PostgreSQL would trust the number in it, which may be another program's by now.
    note.unlink(missing_ok=True)
