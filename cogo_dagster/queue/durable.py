"""Files that a power failure neither loses nor cuts off once the call has returned."""

import os
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, or replace it, so that a reader sees one content or the other.

    Raises:
        OSError: It cannot be written; an existing file is unchanged.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    rename(fresh, path)


def rename(synced: Path, target: Path) -> None:
    """Rename a file whose content has been synced, and sync the folder: fsync(2) of a file does not include its name.

    Raises:
        OSError: It cannot be renamed.
    """
    synced.replace(target)
    with suppress(OSError):  # a file system or a system that does not sync folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
