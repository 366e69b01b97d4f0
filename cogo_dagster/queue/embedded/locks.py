"""Locks on files, which the kernel releases when their holder dies, however it dies."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cogo_dagster.queue.errors import DatabaseUnavailable

if sys.platform != "win32":
    import fcntl


def open_lock(path: Path) -> IO[bytes]:
    """Open a lock file, made private if it is not there; closing it gives up what is locked through it.

    Raises:
        DatabaseUnavailable: On Windows, which has no such locks.
    """
    if sys.platform == "win32":
        raise DatabaseUnavailable(
            "The embedded database does not run on Windows: use WSL, or set COGO_DATABASE_URL to a Postgres of your own"
        )
    path.touch(mode=0o600)
    return path.open("r+b")


def lock(file: IO[bytes], *, shared: bool = False) -> None:
    """Take the lock, waiting for it, or change the kind of the one held."""
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
    """Take the lock if nobody is in the way; when it fails, the lock held before may be gone as well."""
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
    """Whether some process holds the exclusive lock of a file."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return not try_lock(file, shared=True)
