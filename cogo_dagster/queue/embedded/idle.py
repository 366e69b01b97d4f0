"""Stops the embedded server some time after its last user: a process that waits in the background.

A command leaves the server running for the next one, which would otherwise wait for a stop and a start. It records how
long, and starts this process unless one waits already. The process ends when another process has stopped the server, or
the folder is gone.
"""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cogo_dagster.queue.embedded.cluster import ENVIRONMENT
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster.queue.embedded.locks import is_held, lock, open_lock, try_lock
from cogo_dagster.queue.embedded.process import is_alive, terminate

_POLL_SECONDS: Final = 0.2


def leave_running(files: ServerFiles, seconds: float) -> None:
    """Record how long the server runs without users, and start the process that stops it then.

    The caller is a user of the server, so that the recorded time is read after the caller has ended.
    """
    files.idle_deadline.write_text(f"{time.monotonic() + seconds}\n", encoding="utf-8")
    if is_held(files.idle_lock):
        return
    with open_lock(files.idle_lock) as held:
        if not try_lock(held):
            return
        # The shell exits immediately, so that init reaps the process. It inherits the lock.
        subprocess.run(  # noqa: S603 - this module, without input from users
            ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-I", "-m", __name__, str(files.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[held.fileno()],
            check=True,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )


def seconds_left(files: ServerFiles) -> float | None:
    """Return how long the server runs without users; None if no process waits to stop it."""
    deadline = _deadline(files) if is_held(files.idle_lock) else None
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def stop_when_idle(files: ServerFiles) -> None:
    """Wait until the server has had no users for the recorded time, and stop it."""
    while is_alive(files):
        deadline = _deadline(files)
        if deadline is None:
            return
        if time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            continue
        with open_lock(files.users_lock) as use:
            if not try_lock(use):
                time.sleep(_POLL_SECONDS)
            elif deadline == _deadline(files):
                _stop(files)
                return


def _stop(files: ServerFiles) -> None:
    with open_lock(files.start_lock) as starting:
        lock(starting)
        if files.state().owner == "lease":
            terminate(files)


def _deadline(files: ServerFiles) -> float | None:
    try:
        return float(files.idle_deadline.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    with suppress(OSError):  # the folder was deleted
        stop_when_idle(ServerFiles(Path(sys.argv[1])))
