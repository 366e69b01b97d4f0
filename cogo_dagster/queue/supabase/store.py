"""Artifacts in Supabase Storage."""

import base64
import hashlib
import itertools
import json
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast
from urllib.parse import quote

import httpx

from cogo_dagster.queue.artifacts import ArtifactStoreError, ArtifactStoreUnavailable, StoredObject
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.supabase.resumable import PART_BYTES, upload_in_parts
from cogo_dagster.queue.supabase.storage_api import StorageApi, StorageRefused

_CHUNK_BYTES: Final = 1 << 20
_IN_MEMORY_BYTES: Final = 8 << 20
_PAGE: Final = 1_000

_FOLDERS: Final = ("jobs", "reports")
_OURS: Final = re.compile(
    r"jobs/[0-9a-f-]{36}/[0-9a-f-]{36}/[0-9a-f]{64}\.[a-z0-9]{1,10}|reports/[0-9a-f]{64}\.[a-z0-9]{1,10}"
)
"""The keys that the engine chooses. Whatever else is in the bucket is somebody's who knows nothing of the sweeper."""

_OWNER: Final = "cogo/deployment"
_GONE: Final = (404, 410)
_AS_IT_IS: Final = {"Accept-Encoding": "identity"}


class SupabaseStore:
    """Artifacts as objects of one private bucket, made when it is first missed.

    The bucket belongs to the deployment that first used it, whose id is kept in it: two databases may put their files
    into one bucket, but only its owner may sweep it, since each would take the other's files for forgotten ones.

    Args:
        project: Where, and with which key.
        bucket: Its name.
        deployment_id: The database's, from `schema_version`.
        options: See `StorageApi`.
    """

    def __init__(self, project: Project, bucket: str, deployment_id: str, **options: Any) -> None:
        self._api = StorageApi(project, bucket, **options)
        self._deployment_id = deployment_id
        self._owner: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def check(self) -> None:
        """Ask for the bucket; one that is not there yet is made at the first upload."""
        try:
            self._api.request("GET", f"/bucket/{quote(self._api.bucket)}")
        except StorageRefused as refused:
            if refused.status not in _GONE:
                raise ArtifactStoreUnavailable(str(refused)) from refused

    def put(self, storage_key: str, source: Path, content_type: str) -> StoredObject:
        """Upload a file, replacing what was there, and find out what is stored now.

        The size is the store's word. So is the hash where the ETag is an MD5 (an object uploaded in one request);
        otherwise the object is read back.
        """
        sent = _measure(source)
        try:
            return self._put(storage_key, source, content_type, sent)
        except StorageRefused as refused:
            if refused.status not in _GONE:
                raise
            # The bucket was deleted meanwhile, or the upload got lost: a server that has all parts and fails to make
            # an object of them says of the upload that it is complete (supabase/storage, tus/lifecycle.ts).
            self._owner = None
            return self._put(storage_key, source, content_type, sent)

    def delete(self, storage_key: str) -> None:
        """Delete an object; one that is not there is no error, nor is a bucket that is not."""
        try:
            self._api.request("DELETE", f"/object/{quote(self._api.bucket)}", json={"prefixes": [storage_key]})
        except StorageRefused as refused:
            if refused.status != 404:
                raise

    def address(self, storage_key: str) -> str:
        """Return the object's lasting address, which opens for nobody without a key; see `signed_url`."""
        return self._api.url + self._api.object_path(storage_key, "/authenticated")

    def signed_url(self, storage_key: str, expires_seconds: int, download_name: str | None = None) -> str | None:
        """Return an absolute address that leads anybody to the object for so long.

        Raises:
            ArtifactStoreError: The object is not there.
        """
        answer, _ = self._api.ask(self._api.object_path(storage_key, "/sign"), {"expiresIn": expires_seconds})
        download = f"&download={quote(download_name, safe='')}" if download_name else ""
        return f"{self._api.url}{answer['signedURL']}{download}"

    def open(self, storage_key: str) -> BinaryIO:
        """Download an object into a temporary file, which goes when it is closed."""
        copy = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115 - the caller's to close
        try:
            path = self._api.object_path(storage_key, "/authenticated")
            with self._api.streamed("GET", path, headers=_AS_IT_IS) as response:
                for chunk in response.iter_bytes(_CHUNK_BYTES):
                    copy.write(chunk)
        except httpx.HTTPError as error:
            copy.close()
            raise ArtifactStoreError(f"The download of {storage_key} broke off: try again.") from error
        except ArtifactStoreError:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def keys(self, older_than_seconds: float) -> Iterator[str]:
        """Walk what the engine has put into the bucket; ages are counted by Storage's own clock.

        All keys come in one listing of pages. An older server, which does not know that listing, is asked folder by
        folder, each of them whole before anything is yielded, since deleting moves the pages.

        Raises:
            ArtifactStoreError: The bucket is another deployment's.
        """
        # Read anew: releases of Storage that look for a rival before an upload, and not at its end, let two first
        # writers both succeed (supabase/storage, uploader.ts), and only the later one's id is kept.
        self._owner = None
        owner = self._claim()
        if owner != self._deployment_id:
            raise ArtifactStoreError(
                f"The bucket {self._api.bucket} belongs to another COGO database and is not swept from here: "
                "give each database a bucket of its own (COGO_ARTIFACT_BUCKET)."
            )
        for folder in _FOLDERS:
            try:
                found = self._listed(f"{folder}/", older_than_seconds)
                first = next(found, None)
            except StorageRefused as refused:
                if refused.status not in (400, 404, 405):
                    raise
                first, found = None, self._walked(folder, older_than_seconds)
            everything = found if first is None else itertools.chain([first], found)
            yield from filter(_OURS.fullmatch, everything)

    def _claim(self) -> str:
        """Return whose bucket this is: ours if it was nobody's, made if it was not there."""
        if self._owner is not None:
            return self._owner
        try:
            owner = self._api.request("GET", self._api.object_path(_OWNER, "/authenticated")).text
        except StorageRefused as refused:
            if refused.status != 404:
                raise
            owner = self._sign_owner()
        self._owner = owner
        return owner

    def _sign_owner(self) -> str:
        """Write our id into the bucket, made if it is not there, unless somebody is faster; return whose is there."""
        headers = {"Content-Type": "text/plain", "x-upsert": "false"}
        path = self._api.object_path(_OWNER)
        for made in (False, True):
            try:
                self._api.request("POST", path, headers=headers, content=self._deployment_id.encode())
            except StorageRefused as refused:
                if refused.status == 404 and not made:
                    self._api.make_bucket()
                    continue
                if not refused.is_duplicate:
                    raise
            break
        return self._api.request("GET", self._api.object_path(_OWNER, "/authenticated")).text

    def _put(self, storage_key: str, source: Path, content_type: str, sent: "_Measured") -> StoredObject:
        self._claim()
        self._upload(storage_key, source, content_type, sent.sha256)
        try:
            path = self._api.object_path(storage_key, "/authenticated")
            head = self._api.request("HEAD", path, headers=_AS_IT_IS).headers
        except StorageRefused:  # without a body it cannot say why; reading can
            return self._read_back(storage_key)
        etag = head.get("etag", "").removeprefix("W/").strip('"')
        if head.get("content-length") == str(sent.size_bytes) and etag == sent.md5:
            return StoredObject(sent.size_bytes, sent.sha256)
        return self._read_back(storage_key)

    def _upload(self, storage_key: str, source: Path, content_type: str, sha256: str) -> None:
        if source.stat().st_size > PART_BYTES:
            upload_in_parts(self._api, storage_key, source, content_type, sha256)
            return
        headers = {
            "Content-Type": content_type,
            "Cache-Control": "max-age=3600",
            "x-upsert": "true",
            "x-metadata": base64.b64encode(json.dumps({"sha256": sha256}).encode()).decode(),
        }
        self._api.request("POST", self._api.object_path(storage_key), headers=headers, content=source.read_bytes())

    def _read_back(self, storage_key: str) -> StoredObject:
        digest, size_bytes = hashlib.sha256(), 0
        with self.open(storage_key) as read:
            while chunk := read.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return StoredObject(size_bytes, digest.hexdigest())

    def _listed(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        asked: dict[str, Any] = {"prefix": prefix, "limit": _PAGE, "with_delimiter": False}
        while True:
            page, answer = self._api.ask(f"/object/list-v2/{quote(self._api.bucket)}", asked)
            yield from (row["name"] for row in page["objects"] if _is_old(row, answer, older_than_seconds))
            if not page["hasNext"]:
                return
            asked["cursor"] = page["nextCursor"]

    def _walked(self, folder: str, older_than_seconds: float) -> Iterator[str]:
        rows: list[Any] = []
        while True:
            order = {"column": "name", "order": "asc"}
            asked = {"prefix": folder, "limit": _PAGE, "offset": len(rows), "sortBy": order}
            page, answer = self._api.ask(f"/object/list/{quote(self._api.bucket)}", asked)
            rows += page
            if len(page) < _PAGE:
                break
        for row in rows:
            path = f"{folder}/{row['name']}"
            if row["id"] is None:  # a folder
                yield from self._walked(path, older_than_seconds)
            elif _is_old(row, answer, older_than_seconds):
                yield path


def _is_old(row: Any, answer: httpx.Response, older_than_seconds: float) -> bool:
    stored_at = datetime.fromisoformat(row["updated_at"] or row["created_at"])
    told = answer.headers.get("date")
    now = parsedate_to_datetime(told) if told else datetime.now(UTC)
    return stored_at < now - timedelta(seconds=older_than_seconds)


class _Measured(NamedTuple):
    size_bytes: int
    sha256: str
    md5: str


def _measure(path: Path) -> _Measured:
    sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as read:
        while chunk := read.read(_CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
            size_bytes += len(chunk)
    return _Measured(size_bytes, sha256.hexdigest(), md5.hexdigest())
