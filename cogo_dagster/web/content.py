"""Serves artifact content so that a browser does not run scripts of captured pages."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response, StreamingResponse

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.artifacts.store_errors import ArtifactNotFound
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.web.ranges import Unsatisfiable, requested_range

SIGNED_SECONDS: Final = 300

_CHUNK_BYTES: Final = 1 << 16

_SHOWN: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/webp": "image/webp",
    "image/gif": "image/gif",
    "application/pdf": "application/pdf",
    # Served with their own types, HTML and the like would run; as text/plain they are shown as source.
    "application/json": "application/json",
    "text/plain": "text/plain; charset=utf-8",
}
"""Content types that are shown inline, and the type that is sent; all others are attachments."""


def content_of(
    store: ArtifactStore, row: ArtifactRow, wanted: str | None, *, download: bool, redirect: bool = True
) -> Response:
    """Return a response with an artifact's content or a part of it, or a redirect to a signed URL.

    Args:
        wanted: The header Range of the request.
        download: Send an attachment even if the type could be shown inline.
        redirect: Whether a redirect to a signed URL is allowed.

    Raises:
        ArtifactStoreError: The store does not have the object.
    """
    if row.storage_key is None:
        raise ArtifactNotFound(f"The artifact {row.id} has no object in the store.")
    shown = None if download else _SHOWN.get(bare_type(row.content_type))
    name = row.name or str(row.id)
    redirect = redirect and (store.redirects_inline or not shown)
    signed = store.signed_url(row.storage_key, SIGNED_SECONDS, None if shown else name) if redirect else None
    if signed is not None:
        return RedirectResponse(signed, 303)
    headers = {
        "content-disposition": f"{'inline' if shown else 'attachment'}; {_file_name(name)}",
        "content-security-policy": _policy(shown),
        # An artifact's content never changes.
        "cache-control": "private, max-age=3600",
    }
    kind, size = shown or "application/octet-stream", row.size_bytes
    if size is None:
        return StreamingResponse(_chunks(store.open(row.storage_key), None), 200, headers, kind)
    headers["accept-ranges"] = "bytes"
    try:
        part = requested_range(wanted, size)
    except Unsatisfiable:  # before the file is opened, which copies it from a remote store
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    file = store.open(row.storage_key)
    if part is None:
        return StreamingResponse(_chunks(file, size), 200, headers | {"content-length": str(size)}, kind)
    file.seek(part.start)
    length = part.end - part.start
    headers |= {"content-range": part.header(size), "content-length": str(length)}
    return StreamingResponse(_chunks(file, length), 206, headers, kind)


def first_text(store: ArtifactStore, storage_key: str, max_bytes: int) -> tuple[str, bool]:
    """Return the beginning of an artifact as text, and whether it is complete.

    Raises:
        ArtifactStoreError: The store does not have the object.
    """
    with store.open(storage_key) as file:
        content = file.read(max_bytes + 1)
    return content[:max_bytes].decode(errors="replace"), len(content) <= max_bytes


def bare_type(content_type: str | None) -> str:
    """Return a MIME type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def _policy(shown: str | None) -> str:
    # The browser's PDF viewer does not run in a sandboxed document; it isolates scripts of the PDF itself.
    sandbox = "" if shown == "application/pdf" else "; sandbox"
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:{sandbox}"


def _file_name(name: str) -> str:
    plain = re.sub(r'[^\x20-\x7e]|["\\%/]', "_", name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name.replace('/', '_'), safe='')}"


def _chunks(file: BinaryIO, length: int | None) -> Iterator[bytes]:
    """Yield the next bytes of a file, all of them if the length is unknown."""
    with file:
        left = length
        while chunk := file.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left)):
            left = None if left is None else left - len(chunk)
            yield chunk
