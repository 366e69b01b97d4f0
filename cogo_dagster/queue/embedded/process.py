"""The server process: starting it detached, checking whether it runs, stopping it."""

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
"""Signals to stop the server, and how long to wait: first aborting transactions, then without a checkpoint."""

POLL_SECONDS = 0.005
MAX_LOG_BYTES = 5_000_000


def is_alive(files: ServerFiles) -> bool:
    """Whether the server that was started here, or a child of it, is running.

    Both inherit a locked file, so that neither a reused process ID nor a reboot gives a wrong result.
    """
    return is_held(files.server_lock)


def launch(files: ServerFiles, account: Account, command: Sequence[str]) -> int:
    """Start the server in its own session; return the size of its log in bytes before the start."""
    _remove_stale_pid_file(files)
    if files.log.exists() and files.log.stat().st_size > MAX_LOG_BYTES:
        files.log.replace(files.log.with_suffix(".log.1"))
    with open_lock(files.server_lock) as held, files.log.open("ab") as log:
        lock(held)
        before_bytes = log.tell()
        # The shell exits immediately, so that init reaps the server when it dies.
        subprocess.run(  # noqa: S603 - programs of the package, without input from users
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
    """Stop the server and wait for its end; do nothing if it does not run.

    Raises:
        DatabaseUnavailable: The server does not stop.
    """
    for number, timeout_seconds in STOP_SECONDS:
        found = Postmaster.read(files.data)
        if found and is_postmaster(found.pid, files.data):
            os.kill(found.pid, number)
        deadline = time.monotonic() + timeout_seconds
        while is_alive(files):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        else:
            return
    raise DatabaseUnavailable(f"The database does not stop: see {files.log}, then kill its processes.")


def choose_port(wanted: int | None) -> int:
    """Return the wanted TCP port of 127.0.0.1 if it is free, else another one."""
    # Below the range of ephemeral ports, so that it is still free after a restart.
    for port in filter(None, (wanted, *random.sample(range(20_000, 30_000), 100))):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DatabaseUnavailable("No TCP port between 20000 and 30000 is free on 127.0.0.1: stop programs that use them.")


def _remove_stale_pid_file(files: ServerFiles) -> None:
    note = files.data / "postmaster.pid"
    found = Postmaster.read(files.data)
    if found and is_postmaster(found.pid, files.data):
        raise DatabaseUnavailable(
            f"Another server (process {found.pid}) uses {files.data.resolve()}: stop it first (pg_ctl stop)."
        )
    # PostgreSQL would rely on the process ID in it, which another program may have by now.
    note.unlink(missing_ok=True)
