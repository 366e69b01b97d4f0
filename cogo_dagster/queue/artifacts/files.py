"""Checks and measures the files that executors produce."""

import errno
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from cogo_dagster.queue.artifacts.store_errors import ArtifactRejected, ArtifactStoreError
from cogo_dagster.queue.model import ArtifactFile, JsonValue
from cogo_dagster.text import storable

CHUNK_BYTES: Final = 1 << 20
MAX_KEPT_BYTES: Final = 8 << 20
"""Files of an attempt that are kept in memory after they were measured, so that each is read once."""

_MAX_NAME_CHARACTERS: Final = 255
_MAX_KEY_CHARACTERS: Final = 200
_UNUSABLE_IN_NAMES: Final = re.compile(r"[/\\\x01-\x1f\x7f-\x9f\u2028\u2029]")
_CONTENT_TYPE: Final = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,10}")
_PERMANENT: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO})

# Opening does not block, takes no controlling terminal, and does not follow a link created since the check.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file with the size and hashes measured at one time.

    Attributes:
        path: The absolute path without symbolic links.
        sha256: Hexadecimal, as is `md5`.
        content: The measured bytes, if they were kept in memory.
    """

    path: Path
    size_bytes: int
    sha256: str
    measured_md5: str | None
    content: bytes | None = field(default=None, repr=False)

    @property
    def md5(self) -> str:
        """The MD5 hash, which few stores need: of bytes in memory it is computed here."""
        if self.measured_md5 is not None:
            return self.measured_md5
        return hashlib.md5(self.content or b"", usedforsecurity=False).hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes that were measured; bytes appended since are left out.

        Raises:
            ArtifactStoreError: The file cannot be read any more, or became shorter.
        """
        if self.content is not None:
            yield self.content
            return
        with _opened(self.path) as read:
            yield from _chunks(read, self.size_bytes)

    def part(self, offset: int, size_bytes: int) -> bytes:
        """Return a part of the measured bytes. Raises the same errors as `chunks`."""
        if self.content is not None:
            return self.content[offset : offset + size_bytes]
        with _opened(self.path) as read:
            read.seek(offset)
            return b"".join(_chunks(read, min(size_bytes, self.size_bytes - offset)))


@dataclass(frozen=True, slots=True)
class CheckedArtifact:
    """An artifact that was checked and can be uploaded."""

    file: ArtifactFile
    local: LocalFile

    @property
    def name(self) -> str:
        """The display name, with U+FFFD for characters that cannot be stored."""
        return storable(self.file.name)

    @property
    def announcement(self) -> dict[str, JsonValue]:
        """The element of the `artifacts` argument of `create_artifacts` and `settle_with_artifacts`."""
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
    """Check and measure the artifacts of an execution.

    Args:
        files: The value that the executor returned; types are checked too.
        workspace: A file below this folder must not lead out of it, for example through a symbolic link.

    Raises:
        ArtifactRejected: A file can never be uploaded.
        ArtifactStoreError: A file cannot be read.
    """
    value: object = files
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ArtifactRejected(f"Artifacts must be a list of ArtifactFile, not {_type(value)}.")
    checked: list[CheckedArtifact] = []
    left_bytes = MAX_KEPT_BYTES
    for file in files:
        checked.append(checked_artifact(file, workspace, left_bytes))
        left_bytes -= len(checked[-1].local.content or b"")
    for name, count in Counter(artifact.name for artifact in checked).items():
        if count > 1:
            raise ArtifactRejected(f"{count} artifacts have the name {name!r}: each needs a unique name.")
    return checked


def checked_artifact(file: ArtifactFile, workspace: Path | None = None, max_kept_bytes: int = 0) -> CheckedArtifact:
    """Check and measure one artifact; see `checked_artifacts` and `measured`."""
    value: object = file
    if not isinstance(value, ArtifactFile):
        raise ArtifactRejected(f"An artifact must be an ArtifactFile, not {_type(value)}.")
    _check_fields(value)
    if value.content is not None:
        return CheckedArtifact(value, _kept(value.path, value.content))
    try:
        path = _inside(value.path, workspace)
    except (ValueError, RuntimeError) as error:  # U+0000 in the path, a loop of links
        raise ArtifactRejected(f"The artifact {value.name!r} has an unusable path: {error}.") from None
    except OSError as error:
        raise _unreadable(value.path, error) from error
    return CheckedArtifact(value, _measured(path, max_kept_bytes))


def measured(path: Path, max_kept_bytes: int = 0) -> LocalFile:
    """Measure a regular file.

    Args:
        path: The file.
        max_kept_bytes: Its content is kept in memory if it is not larger.

    Raises:
        ArtifactRejected: It is not a regular file, or the path is unusable.
        ArtifactStoreError: It cannot be read.
    """
    try:
        path = path.resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise ArtifactRejected(f"The path of an artifact is unusable: {error}.") from None
    return _measured(path, max_kept_bytes)


def _measured(path: Path, max_kept_bytes: int) -> LocalFile:
    with _opened(path) as read:
        size_bytes = os.fstat(read.fileno()).st_size
        if size_bytes <= max_kept_bytes:
            return _kept(path, b"".join(_chunks(read, size_bytes)))
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(read, size_bytes):
            sha256.update(chunk)
            md5.update(chunk)
    return LocalFile(path, size_bytes, sha256.hexdigest(), md5.hexdigest())


def _kept(path: Path, content: bytes) -> LocalFile:
    return LocalFile(path, len(content), hashlib.sha256(content).hexdigest(), None, content)


def _check_fields(file: ArtifactFile) -> None:
    """Check the types of the fields, since executors are third-party code."""
    name: object = file.name
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_CHARACTERS:
        raise ArtifactRejected(f"An artifact's name must be text of 1 to {_MAX_NAME_CHARACTERS} characters.")
    if _UNUSABLE_IN_NAMES.search(name) or name in (".", ".."):
        raise ArtifactRejected(f"The artifact name {name!r} contains a path separator or a control character.")
    content_type: object = file.content_type
    if not isinstance(content_type, str) or not _CONTENT_TYPE.fullmatch(content_type):
        raise ArtifactRejected(
            f"The artifact {name!r} needs a MIME type such as text/plain, not {content_type!r:.100}."
        )
    path: object = file.path
    if not isinstance(path, Path):
        raise ArtifactRejected(f"The path of the artifact {name!r} must be a pathlib.Path, not {_type(path)}.")
    content: object = file.content
    if not isinstance(content, bytes | None):
        raise ArtifactRejected(f"The content of the artifact {name!r} must be bytes, not {_type(content)}.")
    key: object = file.cache_key
    if key is not None and not (isinstance(key, str) and len(key) <= _MAX_KEY_CHARACTERS):
        raise ArtifactRejected(f"The cache key of {name!r} must be text of at most {_MAX_KEY_CHARACTERS} characters.")


def _inside(path: Path, workspace: Path | None) -> Path:
    """Resolve links in the path; they must not lead out of the workspace, or outside it out of the link's folder."""
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
        # Checked before opening, since opening a device may have an effect.
        _check_regular(path, path.lstat().st_mode)
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:
        raise ArtifactRejected(f"The path of an artifact is unusable: {error}.") from None
    except OSError as error:
        raise _unreadable(path, error) from error
    read = cast("BinaryIO", os.fdopen(descriptor, "rb", buffering=0))
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)
    except ArtifactRejected:
        read.close()
        raise
    return read


def _check_regular(path: Path, mode: int) -> None:
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


def _type(value: object) -> str:
    return type(value).__name__
