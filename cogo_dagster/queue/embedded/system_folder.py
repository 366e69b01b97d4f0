"""The folders that root keeps outside the homes of embedded servers, and their owners."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from cogo_dagster.queue.embedded import binaries
from cogo_dagster.queue.embedded.files import Postmaster, ServerFiles, is_postmaster

_PLACE: Final = re.compile(r"([0-9a-f]{12})-")
_NOTE: Final = "home"
"""A file beside the data that names the folder that links to it."""


def make_place(files: ServerFiles) -> Path:
    """Create a folder for the data of a home that the server's account cannot access.

    Its name is unique, so that data of an earlier home at the same path is not used again.
    """
    binaries.SYSTEM_FOLDER.mkdir(parents=True, exist_ok=True)
    place = Path(mkdtemp(prefix=f"{_mark(files)}-", dir=binaries.SYSTEM_FOLDER))
    place.chmod(0o711)
    (place / _NOTE).write_text(str(files.folder), encoding="utf-8")
    return place


def places_of(files: ServerFiles) -> list[Path]:
    """Return the folders of this home and those whose home is gone, except those of a running server."""
    return [place for place in _places() if _belongs_to(place, files) or _orphaned(place)]


def copies_of_programs(without: list[Path]) -> list[Path]:
    """Return the copies of PostgreSQL's programs, if only these folders need them."""
    if any(place not in without for place in _places()):
        return []
    return [path for path in _entries() if path.name.startswith("binaries-")]


def _belongs_to(place: Path, files: ServerFiles) -> bool:
    linked = files.data.is_symlink() and files.data.readlink() == place / "data"
    return linked or (place.name.startswith(f"{_mark(files)}-") and not _runs(place))


def _orphaned(place: Path) -> bool:
    """Whether its home links elsewhere or is gone; a folder of an older release does not name its home."""
    try:
        data = ServerFiles(Path((place / _NOTE).read_text(encoding="utf-8"))).data
        linked = data.is_symlink() and data.readlink() == place / "data"
    except OSError:
        return False
    return not linked and not _runs(place)


def _runs(place: Path) -> bool:
    found = Postmaster.read(place / "data")
    return found is not None and is_postmaster(found.pid, place / "data")


def _places() -> list[Path]:
    return [path for path in _entries() if _PLACE.match(path.name)]


def _entries() -> Iterator[Path]:
    """Yield the folder's entries sorted by name; nothing for an account without access."""
    if os.access(binaries.SYSTEM_FOLDER, os.W_OK):
        yield from sorted(binaries.SYSTEM_FOLDER.iterdir())


def _mark(files: ServerFiles) -> str:
    return hashlib.sha256(os.fsencode(files.folder)).hexdigest()[:12]
