"""An artifact store in Supabase Storage."""

import base64
import hashlib
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, Final, cast
from urllib.parse import quote

import httpx

from cogo_dagster.queue.artifacts.files import CHUNK_BYTES, LocalFile
from cogo_dagster.queue.artifacts.store import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.store_errors import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
)
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.supabase.resumable import PART_BYTES, upload_in_parts
from cogo_dagster.queue.supabase.storage_api import StorageApi, StorageError

_IN_MEMORY_BYTES: Final = 8 << 20
_PAGE: Final = 1_000
_DELETE_BATCH: Final = 500
_BUCKET_SECONDS: Final = 300
_CHECK_SECONDS: Final = 10

_GONE: Final = (404, 410)
_UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
_MARKER_TYPE: Final = "text/plain"


class SupabaseStore(ArtifactStore):
    """An artifact store whose objects are in one private bucket.

    Args:
        project: Address and key of the project.
        bucket: The bucket's name.
        create_bucket: Whether to create a missing bucket.
        options: See `StorageApi`.
    """

    def __init__(self, project: Project, bucket: str, *, create_bucket: bool = False, **options: Any) -> None:
        super().__init__(BucketObjects(StorageApi(project, bucket, **options), create_bucket=create_bucket))


class BucketObjects:
    """Objects of one bucket; see `ObjectStore`.

    Nothing is written to a public bucket, whose objects anyone can read; this is checked every few minutes.
    """

    redirects_inline = True

    def __init__(self, api: StorageApi, *, create_bucket: bool) -> None:
        self._api = api
        self._create_bucket = create_bucket
        self._lock = threading.Lock()
        self._checked_at = -float("inf")
        self._types: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The bucket's name, for messages."""
        return f"The bucket {self._api.bucket}"

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def check(self) -> None:
        """Check the bucket with one request; see `ArtifactStore.check`."""
        self._checked_at = -float("inf")
        self._check_private_bucket(tries=1, timeout=_CHECK_SECONDS)

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:
        """Upload a file, replacing an existing object; return the size and hash of the stored object.

        The size is reported by Storage. So is the hash if the ETag is an MD5 (an object uploaded in one request);
        otherwise the object is read back.
        """
        try:
            return self._put(name, file, content_type)
        except StorageError as failure:
            if failure.status not in _GONE:
                raise
            # The bucket was deleted, or the upload was lost: a server that has received all parts and fails to create
            # an object reports the upload as complete (supabase/storage, tus/lifecycle.ts).
            self._checked_at = -float("inf")
        try:
            return self._put(name, file, content_type)
        except ArtifactNotFound as error:
            raise ArtifactStoreUnavailable(f"Storage lost an upload twice: {error}") from error

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Delete objects in batches; missing objects and a missing bucket are ignored."""
        failed: dict[str, ArtifactStoreError] = {}
        for first in range(0, len(names), _DELETE_BATCH):
            failed |= self._delete(names[first : first + _DELETE_BATCH])
        return failed

    def address(self, names: Sequence[str]) -> str:
        """Return the object's permanent URL, which requires a key; see `signed_url`."""
        return self._api.url + self._api.object_path(names[0], "/authenticated")

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:
        """Return an absolute URL that gives anyone access to the object for a limited time."""
        with _parsing(self.where):
            document, _ = self._api.query(self._api.object_path(name, "/sign"), {"expiresIn": expires_seconds})
            signed = str(document["signedURL"])
        download = f"&download={quote(download_name, safe='')}" if download_name else ""
        return f"{self._api.url}{signed}{download}"

    def open(self, name: str) -> BinaryIO:
        """Download an object into a temporary file, which is deleted when it is closed."""
        with suppress(httpx.HTTPError, httpx.StreamError):
            return self._copy(name)
        try:
            return self._copy(name)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ArtifactStoreUnavailable(f"The download of {name} was interrupted: try again.") from error

    def _copy(self, name: str) -> BinaryIO:
        copy = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115 - closed by the caller
        try:
            self._download(name, copy)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """List the objects below a prefix; their age is measured by Storage's clock.

        Names are listed in pages. An older server, which does not have that listing, is queried folder by folder, and
        each folder is read completely before a name is yielded, since deletions shift the pages.
        """
        with _parsing(self.where):
            try:
                found = self._listed(prefix, older_than_seconds)
                first = next(found, None)
            except StorageError as failure:
                if failure.status not in (400, 404, 405):
                    raise
                first, found = None, self._walked(prefix.rstrip("/"), older_than_seconds)
            yield from found if first is None else itertools.chain([first], found)

    def read_marker(self, name: str) -> bytes | None:
        """Read a small object; None if it or the bucket does not exist."""
        try:
            return self._api.request("GET", self._api.object_path(name, "/authenticated")).content
        except StorageError as failure:
            if failure.status not in _GONE:
                raise
            return None

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Write a small object with a type that the bucket accepts."""
        self._check_private_bucket()
        takes_text = not self._types or {_MARKER_TYPE, "text/*", "*/*"} & set(self._types)
        kind = _MARKER_TYPE if takes_text else self._types[0].replace("*", "octet-stream")
        headers = {"Content-Type": kind, "Cache-Control": "no-cache", "x-upsert": str(replace).lower()}
        try:
            self._api.request("POST", self._api.object_path(name), headers=headers, content=content)
        except StorageError as failure:
            if isinstance(failure, ArtifactRejected):  # the marker, not an artifact
                raise ArtifactStoreUnavailable(f"{self.where} cannot be marked: {failure}") from failure
            if not failure.is_duplicate:
                raise
            return False
        return True

    def _check_private_bucket(self, **options: int) -> None:
        """Check that the bucket is private, unless that was checked recently; create it if configured."""
        with self._lock:
            if time.monotonic() - self._checked_at < _BUCKET_SECONDS:
                return
            try:
                bucket = self._bucket(**options)
            except StorageError as failure:
                if failure.status not in _GONE or not self._create_bucket:
                    raise
                self._api.make_bucket()
                bucket = self._bucket(**options)
            if bucket.get("public"):
                raise ArtifactStoreUnavailable(
                    f"The bucket {self._api.bucket} is public, so anyone could read the artifacts: make it private in "
                    "the project's Storage page (Edit bucket, Public bucket off). Nothing is written to it until then."
                )
            self._types = tuple(str(kind) for kind in bucket.get("allowed_mime_types") or ())
            self._checked_at = time.monotonic()

    def _bucket(self, **options: int) -> Mapping[str, Any]:
        document = self._api.document(self._api.request("GET", f"/bucket/{quote(self._api.bucket)}", **options))
        if not isinstance(document, dict) or "public" not in document:
            raise ArtifactStoreUnavailable("The response comes from a proxy and not from Storage (/bucket).")
        return document

    def _put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:
        self._check_private_bucket()
        self._upload(name, file, content_type)
        try:
            path = self._api.object_path(name, "/authenticated")
            head = self._api.request("HEAD", path, headers=_UNCOMPRESSED).headers
        except StorageError:  # the response has no body with the reason; that of a GET has one
            return self._read_back(name)
        etag = head.get("etag", "").removeprefix("W/").strip('"')
        if head.get("content-length") == str(file.size_bytes) and etag == file.md5:
            return StoredObject(file.size_bytes, file.sha256)
        return self._read_back(name)

    def _upload(self, name: str, file: LocalFile, content_type: str) -> None:
        if file.size_bytes > PART_BYTES:
            upload_in_parts(self._api, name, file, content_type)
            return
        headers = {
            "Content-Type": content_type,
            "Cache-Control": "max-age=3600",
            "x-upsert": "true",
            "x-metadata": base64.b64encode(json.dumps({"sha256": file.sha256}).encode()).decode(),
        }
        content = b"".join(file.chunks())
        self._api.request("POST", self._api.object_path(name), headers=headers, content=content)

    def _read_back(self, name: str) -> StoredObject:
        digest, size_bytes = hashlib.sha256(), 0
        with self.open(name) as read:
            while chunk := read.read(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return StoredObject(size_bytes, digest.hexdigest())

    def _download(self, name: str, copy: BinaryIO) -> None:
        path = self._api.object_path(name, "/authenticated")
        with self._api.streamed("GET", path, headers=_UNCOMPRESSED) as response:
            for chunk in self._api.chunks(response, CHUNK_BYTES):
                copy.write(chunk)

    def _delete(self, names: Sequence[str]) -> dict[str, ArtifactStoreError]:
        """Delete with one request; if Storage rejects a name, with one request for each half."""
        try:
            self._api.request("DELETE", f"/object/{quote(self._api.bucket)}", json={"prefixes": list(names)})
        except StorageError as failure:
            if failure.status in _GONE:
                return {}
            if failure.status not in (400, 409, 413, 422):
                raise
            if len(names) == 1:
                return {names[0]: failure}
            half = len(names) // 2
            return self._delete(names[:half]) | self._delete(names[half:])
        return {}

    def _listed(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        body: dict[str, Any] = {"prefix": prefix, "limit": _PAGE, "with_delimiter": False}
        while True:
            page, response = self._api.query(f"/object/list-v2/{quote(self._api.bucket)}", body)
            yield from (row["name"] for row in page["objects"] if _is_old(row, response, older_than_seconds))
            if not page["hasNext"] or page["nextCursor"] == body.get("cursor"):
                return
            body["cursor"] = page["nextCursor"]

    def _walked(self, folder: str, older_than_seconds: float) -> Iterator[str]:
        rows: dict[str, Any] = {}
        while True:
            order = {"column": "name", "order": "asc"}
            body = {"prefix": folder, "limit": _PAGE, "offset": len(rows), "sortBy": order}
            page, response = self._api.query(f"/object/list/{quote(self._api.bucket)}", body)
            before = len(rows)
            rows |= {row["name"]: row for row in page}
            if len(page) < _PAGE or len(rows) == before:
                break
        for name, row in rows.items():
            path = f"{folder}/{name}"
            if row["id"] is None:  # a folder
                yield from self._walked(path, older_than_seconds)
            elif _is_old(row, response, older_than_seconds):
                yield path


@contextmanager
def _parsing(where: str) -> Iterator[None]:
    """Raise a store error for responses that do not have Storage's format."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{where} returned an unexpected response ({type(error).__name__}: {error})."
        raise ArtifactStoreUnavailable(message) from error


def _is_old(row: Any, response: httpx.Response, older_than_seconds: float) -> bool:
    stored_at = datetime.fromisoformat(row["updated_at"] or row["created_at"])
    date = response.headers.get("date")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return stored_at < now - timedelta(seconds=older_than_seconds)
