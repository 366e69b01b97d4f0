"""Reads the files of a report that was stored as an artifact."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from cogo_dagster.quality.reports.encoding import TooLarge, decoded, decompress

MAX_STORED_BYTES: Final = 16 * 1024 * 1024
"""Maximum size of the artifact, and of its files together."""


def report_texts(artifact: BinaryIO) -> list[tuple[Path, str]]:
    """Return the names and texts of the files; an artifact with several files is a ZIP archive.

    Raises:
        ValueError: The artifact is too large or damaged.
    """
    content = artifact.read(MAX_STORED_BYTES + 1)
    if len(content) > MAX_STORED_BYTES:
        raise ValueError("The report is too large to be shown.")
    try:
        files = _files(content) if content.startswith(b"PK") else [("report", content)]
        return [(Path(name), decoded(decompress(found, MAX_STORED_BYTES))) for name, found in files]
    except (TooLarge, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError("The report is too large or damaged.") from error


def _files(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_STORED_BYTES:
            raise TooLarge
        return [(entry.filename, archive.read(entry)) for entry in entries]
