"""Temporary folders that are removed once the process that uses them is dead.

Each folder is locked (flock(2)) while it is in use. The kernel releases the lock when the last process that holds it
ends for any reason, and unlike a process ID a lock is valid across the containers of a machine.
"""

import contextlib
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

_UNFINISHED: Final = ".new-"
_UNLOCKED_SECONDS: Final = 86_400.0
_LOCKED_NAME: Final = re.compile(r"-[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class LockedFolder:
    """A private folder (mode 0700) of this process.

    Attributes:
        lock: The file descriptor that holds the lock.
    """

    path: Path
    lock: int

    @classmethod
    def make(cls, prefix: str, parent: Path) -> Self:
        """Create an empty folder whose name begins with the prefix.

        Raises:
            OSError: It cannot be created, for example on a full disk.
        """
        # It is renamed once it is locked, so that a sweep never sees it unlocked.
        unfinished = Path(tempfile.mkdtemp(prefix=f"{prefix}{_UNFINISHED}", dir=parent))
        lock = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # the file system does not support locks, so no sweep removes the folder
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return cls(unfinished.rename(parent / f"{prefix}{uuid4().hex[:12]}"), lock)
        except BaseException:
            os.close(lock)
            raise

    def remove(self) -> None:
        """Delete the folder and its content, as far as possible."""
        remove_tree(self.path)
        os.close(self.lock)


def sweep_folders(prefix: str, parent: Path, budget_seconds: float = 10.0) -> int:
    """Delete folders of dead processes of this account; return how many.

    Args:
        budget_seconds: Time limit; the rest is left to the next sweep.
    """
    deadline, removed = time.monotonic() + budget_seconds, 0
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(parent)  # noqa: PTH208 - ten times as fast as a pattern in a folder of many files
    for name in sorted(name for name in names if name.startswith(prefix)):
        if time.monotonic() > deadline:
            break
        with _abandoned(parent / name) as abandoned:
            if abandoned and remove_tree(parent / name, deadline):
                removed += 1
    return removed


def remove_tree(folder: Path, deadline: float | None = None) -> bool:
    """Delete a folder, even if parts are read-only or nested more deeply than a path can express.

    Links are deleted, not followed.

    Args:
        deadline: When to stop, as a value of `time.monotonic`.

    Returns:
        Whether the folder is gone.
    """
    # Inner folders are moved up before they are emptied, so that paths stay short and nothing recurses.
    waiting = [folder]
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            folder.unlink()
        while waiting:
            current = waiting.pop()
            waiting += _emptied(current, folder, deadline)
            if current != folder:
                current.rmdir()
        folder.rmdir()
    return not os.path.lexists(folder)


def _emptied(current: Path, root: Path, deadline: float | None) -> list[Path]:
    """Delete the files in a folder and move its subfolders to the root; return their new paths."""
    current.chmod(0o700)
    moved: list[Path] = []
    with os.scandir(current) as entries:
        found = list(entries)
    for entry in found:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        with contextlib.suppress(OSError):  # the others are deleted even if this entry cannot be
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108 - faster for many thousands of entries
                continue
            Path(entry.path).chmod(0o700)  # a read-only folder cannot be moved
            moved.append(Path(entry.path).rename(root / f".{uuid4().hex}"))
    return moved


@contextlib.contextmanager
def _abandoned(folder: Path) -> Iterator[bool]:
    """Yield whether a folder of this account is unused; it cannot be taken into use inside the context."""
    try:
        lock = _open(folder)
    except OSError:  # a link, a file, another account's, or gone
        yield False
        return
    try:
        yield _is_old_enough(folder, os.fstat(lock)) and _try_lock(lock)
    finally:
        os.close(lock)


def _open(folder: Path) -> int:
    how = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    if folder.lstat().st_uid != os.geteuid():
        raise PermissionError
    try:
        return os.open(folder, how)
    except PermissionError:  # our own folder, without permission for ourselves
        if stat.S_ISDIR(folder.lstat().st_mode):
            folder.chmod(0o700)
        return os.open(folder, how)


def _is_old_enough(folder: Path, found: os.stat_result) -> bool:
    """Whether the lock of a folder is conclusive.

    A folder that is being created is not locked yet; folders of earlier releases, which have other
    names, were not locked.
    """
    if _LOCKED_NAME.search(folder.name):
        return True
    return time.time() - found.st_mtime > _UNLOCKED_SECONDS


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or the file system does not support locks
        return False
    return True
