"""Temporary folders that tell whether their process lives, and the removal of those whose process does not.

Each folder is locked (flock(2)) for as long as somebody uses it. The kernel releases the lock when the last process
that holds it dies, however it dies, and unlike a process id it means the same in every container of a machine.
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
        """Make an empty folder whose name begins with the prefix.

        Raises:
            OSError: It cannot be made, as on a full disk.
        """
        # It gets its name once it is locked, so that no sweep sees it unlocked.
        unfinished = Path(tempfile.mkdtemp(prefix=f"{prefix}{_UNFINISHED}", dir=parent))
        lock = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: nobody can lock it, so nobody removes it
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return cls(unfinished.rename(parent / f"{prefix}{uuid4().hex[:12]}"), lock)
        except BaseException:
            os.close(lock)
            raise

    def remove(self) -> None:
        """Delete the folder with all that is in it, as far as that is possible."""
        remove_tree(self.path)
        os.close(self.lock)


def sweep_folders(prefix: str, parent: Path, budget_seconds: float = 10.0) -> int:
    """Delete the folders of this account's dead processes; return how many are gone.

    Args:
        budget_seconds: After so long the rest is left to the next sweep.
    """
    deadline, removed = time.monotonic() + budget_seconds, 0
    for folder in sorted(parent.glob(f"{prefix}*")):
        if time.monotonic() > deadline:
            break
        with _abandoned(folder) as abandoned:
            if abandoned and remove_tree(folder, deadline):
                removed += 1
    return removed


def remove_tree(folder: Path, deadline: float | None = None) -> bool:
    """Delete a folder, also with parts that are read-only or nested deeper than a path can be long.

    Links are deleted and never followed.

    Args:
        deadline: When to stop, on the clock of `time.monotonic`.

    Returns:
        Whether it is gone.
    """
    # Folders inside are moved up before they are emptied: no path grows, and nothing recurses.
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
    """Delete the files in a folder and move the folders in it to the root; return where they are now."""
    current.chmod(0o700)
    moved: list[Path] = []
    with os.scandir(current) as entries:
        found = list(entries)
    for entry in found:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        with contextlib.suppress(OSError):  # what cannot be deleted keeps nothing else
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108 - there can be many thousands
                continue
            Path(entry.path).chmod(0o700)  # without the right to write it cannot be moved
            moved.append(Path(entry.path).rename(root / f".{uuid4().hex}"))
    return moved


@contextlib.contextmanager
def _abandoned(folder: Path) -> Iterator[bool]:
    """Tell whether nobody uses a folder of this account; nobody can begin to while the context lasts."""
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
    except PermissionError:  # ours, and closed to ourselves
        if stat.S_ISDIR(folder.lstat().st_mode):
            folder.chmod(0o700)
        return os.open(folder, how)


def _is_old_enough(folder: Path, found: os.stat_result) -> bool:
    """Whether a folder can be judged by its lock.

    One that is just being made has none yet, and those of earlier releases, whose names end otherwise, never had one.
    """
    if _LOCKED_NAME.search(folder.name):
        return True
    return time.time() - found.st_mtime > _UNLOCKED_SECONDS


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody holds it, or this file system has no locks
        return False
    return True
