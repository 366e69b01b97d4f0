"""Files that executors leave: what is checked before they are read, and how they are measured."""

import errno
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from cogo_dagster.queue.artifacts.store_errors import ArtifactRejected, ArtifactStoreError
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.text import storable

CHUNK_BYTES: Final = 1 << 20

_MAX_NAME_CHARACTERS: Final = 255
_MAX_KEY_CHARACTERS: Final = 200
_UNUSABLE_IN_NAMES: Final = re.compile(r"[/\\\x01-\x1f\x7f-\x9f\u2028\u2029]")
_CONTENT_TYPE: Final = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,10}")
_PERMANENT: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO})

# Opening never waits, takes no terminal and follows no link that was put there since the check.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file as it was when it was measured.

    Attributes:
        path: Without symbolic links.
        sha256: In hexadecimal, as `md5`.
    """

    path: Path
    size_bytes: int
    sha256: str
    md5: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes that were measured; what was appended since is left out.

        Raises:
            ArtifactStoreError: It cannot be read any more, or became shorter.
        """
        with _opened(self.path) as read:
            yield from _chunks(read, self.size_bytes)

    def part(self, offset: int, size_bytes: int) -> bytes:
        """Return a part of the bytes that were measured; raise as `chunks`."""
        with _opened(self.path) as read:
            read.seek(offset)
            return b"".join(_chunks(read, min(size_bytes, self.size_bytes - offset)))


@dataclass(frozen=True, slots=True)
class CheckedArtifact:
    """An artifact that can be announced and uploaded."""

    file: ArtifactFile
    local: LocalFile

    @property
    def name(self) -> str:
        """The display name, with U+FFFD for what neither JSON nor the database takes."""
        return storable(self.file.name)

    @property
    def announcement(self) -> dict[str, Json]:
        """What `create_artifacts` is told."""
        extension = self.file.path.suffix.lstrip(".").lower()
        return {
            "name": self.name,
            "content_type": self.file.content_type,
            "size_bytes": self.local.size_bytes,
            "sha256": self.local.sha256,
            "extension": extension if _EXTENSION.fullmatch(extension) else "bin",
            "cache_key": self.file.cache_key,
        }


def checked_artifacts(files: Sequence[ArtifactFile], workspace: Path | None = None) -> list[CheckedArtifact]:
    """Check and measure what an executor left.

    Args:
        files: Whatever the executor returned; types are checked too.
        workspace: A file below it may not lead out of it, through a symbolic link for example.

    Raises:
        ArtifactRejected: One of them can never be uploaded.
        ArtifactStoreError: One of them cannot be read.
    """
    given: object = files
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ArtifactRejected(f"Artifacts must be a list of ArtifactFile, not {_type(given)}.")
    checked = [checked_artifact(file, workspace) for file in files]
    for name, count in Counter(one.name for one in checked).items():
        if count > 1:
            raise ArtifactRejected(f"{count} artifacts have the name {name!r}: each needs a name of its own.")
    return checked


def checked_artifact(file: ArtifactFile, workspace: Path | None = None) -> CheckedArtifact:
    """Check and measure one; see `checked_artifacts`."""
    given: object = file
    if not isinstance(given, ArtifactFile):
        raise ArtifactRejected(f"An artifact must be an ArtifactFile, not {_type(given)}.")
    _require_fields(given)
    try:
        path = _inside(given.path, workspace)
    except (ValueError, RuntimeError) as error:  # U+0000 in the path, a loop of links
        raise ArtifactRejected(f"The artifact {given.name!r} has an unusable path: {error}.") from None
    except OSError as error:
        raise _unreadable(given.path, error) from error
    return CheckedArtifact(given, measured(path))


def measured(path: Path) -> LocalFile:
    """Measure a regular file.

    Raises:
        ArtifactRejected: It is no regular file, or the path is unusable.
        ArtifactStoreError: It cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        path = path.resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise ArtifactRejected(f"The path of an artifact is unusable: {error}.") from None
    with _opened(path) as read:
        size_bytes = os.fstat(read.fileno()).st_size
        for chunk in _chunks(read, size_bytes):
            sha256.update(chunk)
            md5.update(chunk)
    return LocalFile(path, size_bytes, sha256.hexdigest(), md5.hexdigest())


def _require_fields(file: ArtifactFile) -> None:
    """Check the fields' types too: executors are other people's code."""
    name: object = file.name
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_CHARACTERS:
        raise ArtifactRejected(f"An artifact's name must be text of 1 to {_MAX_NAME_CHARACTERS} characters.")
    if _UNUSABLE_IN_NAMES.search(name) or name in (".", ".."):
        raise ArtifactRejected(f"The artifact name {name!r} has a path separator or a control character.")
    content_type: object = file.content_type
    if not isinstance(content_type, str) or not _CONTENT_TYPE.fullmatch(content_type):
        raise ArtifactRejected(
            f"The artifact {name!r} needs a MIME type such as text/plain, not {content_type!r:.100}."
        )
    path: object = file.path
    if not isinstance(path, Path):
        raise ArtifactRejected(f"The path of the artifact {name!r} must be a pathlib.Path, not {_type(path)}.")
    key: object = file.cache_key
    if key is not None and not (isinstance(key, str) and len(key) <= _MAX_KEY_CHARACTERS):
        raise ArtifactRejected(f"The cache key of {name!r} must be text of at most {_MAX_KEY_CHARACTERS} letters.")


def _inside(path: Path, workspace: Path | None) -> Path:
    """Return the path without links, which may not lead out of the workspace, or else out of the link's folder."""
    path, real = path.absolute(), path.resolve()
    if workspace is not None and path.is_relative_to(workspace.absolute()):
        folder = workspace
    elif path.is_symlink():
        folder = path.parent
    else:
        return real
    if not real.is_relative_to(folder.resolve()):
        raise ArtifactRejected(f"The artifact file {path} leads out of {folder}.")
    return real


def _opened(path: Path) -> BinaryIO:
    try:
        # Asked before it is opened: to open a device may do something.
        _require_regular(path, path.lstat().st_mode)
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:
        raise ArtifactRejected(f"The path of an artifact is unusable: {error}.") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    read = cast("BinaryIO", os.fdopen(descriptor, "rb", buffering=0))
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
    except ArtifactRejected:
        read.close()
        raise
    return read


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((kind for test, kind in _KINDS if test(mode)), "something else")
        raise ArtifactRejected(f"The artifact file {path} is {kind}, not a regular file.")


_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a symbolic link"),
)


def _chunks(read: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        try:
            chunk = read.read(min(left, CHUNK_BYTES))
        except OSError as error:
            raise ArtifactStoreError(f"An artifact file cannot be read: {error.strerror}.") from error
        if not chunk:
            raise ArtifactStoreError("An artifact file became shorter while it was read.")
        left -= len(chunk)
        yield chunk


def _unreadable(path: Path, error: OSError) -> ArtifactStoreError:
    kind = ArtifactRejected if error.errno in _PERMANENT else ArtifactStoreError
    return kind(f"The artifact file {str(path)[:200]} cannot be read: {error.strerror}.")


def _type(given: object) -> str:
    return type(given).__name__
