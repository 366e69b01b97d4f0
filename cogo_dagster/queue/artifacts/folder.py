"""An artifact store in one folder."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from cogo_dagster.queue.artifacts.files import LocalFile
from cogo_dagster.queue.artifacts.store import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
)
from cogo_dagster.queue.durable import rename

_TRIES: Final = 50
_PERMANENT: Final = frozenset({errno.ENAMETOOLONG, errno.EFBIG})


class FolderStore(ArtifactStore):
    """An artifact store whose objects are files below one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FolderObjects(folder))


class FolderObjects:
    """Objects as files; see `ObjectStore`."""

    redirects_inline = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return f"The artifact folder {self._folder}"

    def close(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Write and remove a small file."""
        probe = self._folder / "reports" / f".{uuid4().hex}.part"
        try:
            with _created(probe) as written:
                written.write(b"cogo")
        except OSError as error:
            raise ArtifactStoreUnavailable(f"{self.where} cannot be written: {error.strerror}.") from error
        finally:
            with suppress(OSError):
                probe.unlink()
                self._tidy(probe)

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:  # noqa: ARG002 - the row keeps the type
        """Copy, sync, then rename, so that a reader sees the whole file or none."""
        target = self._path(name)
        if file.content is not None:
            self._write(target, iter([file.content]))
            return StoredObject(file.size_bytes, file.sha256)
        digest, size_bytes = hashlib.sha256(), 0

        def copied() -> Iterator[bytes]:
            nonlocal size_bytes
            for chunk in file.chunks():
                digest.update(chunk)
                size_bytes += len(chunk)
                yield chunk

        self._write(target, copied())
        return StoredObject(size_bytes, digest.hexdigest())

    def open(self, name: str) -> BinaryIO:
        """Open the file."""
        path = self._path(name)
        try:
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            message = f"The artifact {name} cannot be read: it is not in {self._folder} on this machine."
            raise ArtifactNotFound(message) from None
        except OSError as error:
            raise ArtifactStoreUnavailable(f"The artifact {name} cannot be read: {error.strerror}.") from error

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Delete files, and the folders that become empty."""
        failed: dict[str, ArtifactStoreError] = {}
        for name in names:
            try:
                path = self._path(name)
                path.unlink(missing_ok=True)
                self._tidy(path)
            except NotADirectoryError:
                continue
            except OSError as error:
                failed[name] = ArtifactStoreError(f"The artifact {name} cannot be deleted: {error.strerror}.")
            except ArtifactStoreError as error:
                failed[name] = error
        return failed

    def address(self, names: Sequence[str]) -> str:
        """Return the absolute path of the first name that exists, else of the first name."""
        root = self._folder.resolve()
        paths = [self._path(name, root) for name in names]
        return str(next((path for path in paths if _is_file(path)), paths[0]))

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:  # noqa: ARG002
        """Return None: the file is on this machine."""
        return None

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """Walk the folder; unreadable entries are skipped."""
        for folder, _, files in os.walk(self._folder / prefix):
            for file in files:
                path = Path(folder, file)
                with suppress(OSError):  # another sweeper may have deleted it
                    status = path.lstat()
                    if status.st_mtime < time.time() - older_than_seconds:
                        yield path.relative_to(self._folder).as_posix()

    def read_marker(self, name: str) -> bytes | None:
        """Read a small file."""
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ArtifactStoreUnavailable(f"{self.where} cannot be read: {error.strerror}.") from error

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Write a small file atomically."""
        target = self._path(name)
        if replace:
            self._write(target, iter([content]))
            return True
        return self._linked(target, content)

    def _linked(self, target: Path, content: bytes) -> bool:
        """Create a file atomically; return False if it exists."""
        temporary = target.with_name(f".{uuid4().hex}.part")
        self._write(temporary, iter([content]))
        try:
            target.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            return self._made(target, content)
        finally:
            with suppress(OSError):
                temporary.unlink()
        return True

    def _made(self, target: Path, content: bytes) -> bool:
        try:
            with target.open("xb") as written:
                written.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritable(target.parent, error) from error
        return True

    def _write(self, target: Path, content: Iterator[bytes]) -> None:
        temporary = target.with_name(f".{uuid4().hex}.part")
        try:
            with _created(temporary) as written:
                for chunk in content:
                    written.write(chunk)
                written.flush()
                os.fsync(written.fileno())
            rename(temporary, target)
        except OSError as error:
            raise _unwritable(target.parent, error) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _tidy(self, path: Path) -> None:
        root = self._folder.resolve()
        with suppress(OSError):  # not empty, or removed by another process
            for folder in path.parents:
                if folder == root:
                    break
                folder.rmdir()

    def _path(self, name: str, root: Path | None = None) -> Path:
        root = root or self._folder.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ArtifactStoreError(f"The storage key {name!r} leads out of the artifact folder.")
        return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that cannot be read
        return False


def _created(path: Path) -> BinaryIO:
    """Create a file and its folders, although a sweeper may concurrently remove an empty folder."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _unwritable(folder: Path, error: OSError) -> ArtifactStoreError:
    kind = ArtifactRejected if error.errno in _PERMANENT else ArtifactStoreUnavailable
    return kind(f"The artifact cannot be written to {folder}: {error.strerror}.")
