"""An artifact's bytes on their way to a browser, which must not run what a stranger's page left in them."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response, StreamingResponse

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.artifacts.store_errors import ArtifactNotFound
from cogo_dagster.queue.rows.artifacts import ArtifactRow

SIGNED_SECONDS: Final = 300

_CHUNK_BYTES: Final = 1 << 16

_SHOWN: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/webp": "image/webp",
    "image/gif": "image/gif",
    "application/pdf": "application/pdf",
    # These would run or be restyled as what they are; as plain text they are read.
    "application/json": "application/json",
    "text/plain": "text/plain; charset=utf-8",
}
"""What a browser may show, and as what; all else is saved."""


def content_of(store: ArtifactStore, row: ArtifactRow, *, download: bool, here: bool = False) -> Response:
    """Answer with an artifact's bytes, or with a signed address of them.

    Args:
        download: Save it also where it could be shown.
        here: Never lead elsewhere.

    Raises:
        ArtifactStoreError: The store does not have it.
    """
    if row.storage_key is None:
        raise ArtifactNotFound(f"The artifact {row.id} has no object in the store.")
    shown = None if download else _SHOWN.get(bare_type(row.content_type))
    name = row.name or str(row.id)
    signed = None if here else store.signed_url(row.storage_key, SIGNED_SECONDS, None if shown else name)
    if signed is not None:
        return RedirectResponse(signed, 303)
    headers = {
        "content-disposition": f"{'inline' if shown else 'attachment'}; {_file_name(name)}",
        "content-security-policy": _policy(shown),
        # Content never changes under its id.
        "cache-control": "private, max-age=3600",
    }
    if row.size_bytes is not None:
        headers["content-length"] = str(row.size_bytes)
    file = store.open(row.storage_key)
    return StreamingResponse(_chunks(file), media_type=shown or "application/octet-stream", headers=headers)


def first_text(store: ArtifactStore, storage_key: str, most_bytes: int) -> tuple[str, bool]:
    """Return the beginning of an artifact as text, and whether that is all.

    Raises:
        ArtifactStoreError: The store does not have it.
    """
    with store.open(storage_key) as file:
        content = file.read(most_bytes + 1)
    return content[:most_bytes].decode(errors="replace"), len(content) <= most_bytes


def bare_type(content_type: str | None) -> str:
    """Return a MIME type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def _policy(shown: str | None) -> str:
    # A sandboxed document has no built-in viewer for PDF, whose scripts that viewer keeps to itself.
    sandbox = "" if shown == "application/pdf" else "; sandbox"
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:{sandbox}"


def _file_name(name: str) -> str:
    plain = re.sub(r'[^\x20-\x7e]|["\\%/]', "_", name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name.replace('/', '_'), safe='')}"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
