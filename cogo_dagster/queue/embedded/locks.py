"""File locks, which the kernel releases when the process that holds them ends for any reason."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cogo_dagster.queue.errors import DatabaseUnavailable

if sys.platform != "win32":
    import fcntl


def open_lock(path: Path) -> IO[bytes]:
    """Open a lock file, created as private if missing; closing it releases the lock.

    Raises:
        DatabaseUnavailable: On Windows, which has no such locks.
    """
    if sys.platform == "win32":
        raise DatabaseUnavailable(
            "The embedded database does not run on Windows: use WSL, or set COGO_DATABASE_URL to your own Postgres"
        )
    path.touch(mode=0o600)
    return path.open("r+b")


def lock(file: IO[bytes], *, shared: bool = False) -> None:
    """Take the lock, waiting for it, or convert a held lock to the other kind."""
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
    """Try to take the lock without waiting; if that fails, a lock held before may be lost too."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of a file, waiting for it."""
    with open_lock(path) as file:
        lock(file)
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the exclusive lock of a file."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return not try_lock(file, shared=True)
