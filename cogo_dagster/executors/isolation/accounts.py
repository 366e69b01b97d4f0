"""Accounts for commands that root starts: each is one command's at a time, on the whole machine."""

import contextlib
import fcntl
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

UIDS: Final = range(64_200, 64_264)
"""Used by no program: outside of what distributions give to people and services, and inside what containers map."""

_LOCKS: Final = (Path("/run/cogo-dagster"), Path("/var/lock/cogo-dagster"), Path("/tmp/.cogo-dagster-locks"))  # noqa: S108
"""The first that can be made: each belongs to root, or is not used."""


class NoAccount(OSError):
    """Every account of the range is taken."""


@contextmanager
def borrowed(uids: range = UIDS, folders: Sequence[Path] = _LOCKS) -> Iterator[int]:
    """Lend an account, with a group of the same number, that nobody else uses and no process runs as.

    Args:
        folders: Where the locks may be.

    Raises:
        NoAccount: There is none left, or no folder for locks.
    """
    folder = _own_folder(folders)
    busy = _running()
    for uid in uids:
        if uid in busy or _has_name(uid):
            continue
        lock = os.open(folder / f"uid-{uid}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        try:
            yield uid
        finally:
            _forget(uid)
            os.close(lock)
        return
    raise NoAccount(f"all accounts from {uids.start} to {uids.stop - 1} are in use")


def _own_folder(folders: Sequence[Path]) -> Path:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
                return folder
    raise NoAccount(f"no folder for locks can be made: {', '.join(map(str, folders))}")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _running() -> set[int]:
    """Return the accounts that processes run as."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.add(entry.stat().st_uid)
            except OSError:  # it has ended
                continue
    return found


def _forget(uid: int) -> None:
    """Delete what a command left in shared memory, which the next one with this account could read."""
    try:
        left = [Path(entry.path) for entry in os.scandir("/dev/shm") if entry.stat(follow_symlinks=False).st_uid == uid]  # noqa: S108
        for file in left:
            file.unlink(missing_ok=True)
    except OSError:  # no such folder, or a folder made there
        return
