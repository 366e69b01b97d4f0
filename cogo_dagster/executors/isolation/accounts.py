"""Accounts for commands started by root; one account runs one command at a time on the machine."""

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
"""Outside the ranges that distributions assign to users and services, and inside the range that containers map."""

_LOCKS: Final = (Path("/run/cogo-dagster"), Path("/var/lock/cogo-dagster"), Path("/tmp/.cogo-dagster-locks"))  # noqa: S108
"""The first folder that can be created, or exists and belongs to root, is used."""


class NoAccount(OSError):
    """No account is available."""


@contextmanager
def reserved_account(uids: range = UIDS, folders: Sequence[Path] = _LOCKS) -> Iterator[int]:
    """Reserve an account, with a group of the same number, that no process uses.

    Args:
        folders: Candidates for the folder of the locks.

    Raises:
        NoAccount: All accounts are in use, or no folder for locks can be created.
    """
    folder = _lock_folder(folders)
    busy = _uids_in_use()
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
            _clear_shared_memory(uid)
            os.close(lock)
        return
    raise NoAccount(f"all accounts from {uids.start} to {uids.stop - 1} are in use")


def _lock_folder(folders: Sequence[Path]) -> Path:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
                return folder
    raise NoAccount(f"no folder for locks can be created: {', '.join(map(str, folders))}")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _uids_in_use() -> set[int]:
    """Return the uids of all processes."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.add(entry.stat().st_uid)
            except OSError:  # the process has ended
                continue
    return found


def _clear_shared_memory(uid: int) -> None:
    """Delete the command's files in shared memory, which the next command with this account could read."""
    try:
        left = [Path(entry.path) for entry in os.scandir("/dev/shm") if entry.stat(follow_symlinks=False).st_uid == uid]  # noqa: S108
        for file in left:
            file.unlink(missing_ok=True)
    except OSError:  # there is no /dev/shm, or the command created a folder in it
        return
