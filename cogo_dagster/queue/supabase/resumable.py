"""Uploads in parts (TUS), resumed after a broken connection."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Final

import httpx

from cogo_dagster.queue.artifacts.files import LocalFile
from cogo_dagster.queue.artifacts.store_errors import ArtifactStoreUnavailable
from cogo_dagster.queue.backoff import Backoff
from cogo_dagster.queue.supabase.storage_api import StorageApi, StorageError, StorageUnavailable

PART_BYTES: Final = 6 * 1024 * 1024
"""The only part size that Storage accepts; smaller files are uploaded in one request."""

_RESUMPTIONS: Final = 5
_BACKOFF: Final = Backoff(0.2, max_seconds=5)
_TUS: Final[Mapping[str, str]] = {"Tus-Resumable": "1.0.0", "x-upsert": "true"}
_PATH: Final = "/upload/resumable"


def upload_in_parts(api: StorageApi, storage_key: str, file: LocalFile, content_type: str) -> None:
    """Upload a file part by part, replacing an existing object.

    Raises:
        ArtifactStoreError: The upload failed after several resumptions.
    """
    upload = _begin(api, storage_key, file, content_type)
    offset, failures, pauses = 0, 0, _BACKOFF.pauses()
    while offset < file.size_bytes:
        before = offset
        try:
            offset = _send_part(api, upload, file, offset)
            if offset > before:
                continue
            failure: StorageError = StorageUnavailable("Storage accepts a part of the upload and does not keep it.")
        except StorageError as error:
            if error.status not in (0, 409):
                raise
            failure = error
        # 409: the server has another offset, because the response to a part was lost.
        failures += 1
        if failures > _RESUMPTIONS:
            raise failure
        time.sleep(next(pauses))
        offset = _offset(api, upload, file.size_bytes)


def _begin(api: StorageApi, storage_key: str, file: LocalFile, content_type: str) -> str:
    metadata = {
        "bucketName": api.bucket,
        "objectName": storage_key,
        "contentType": content_type,
        "cacheControl": "3600",
        "metadata": json.dumps({"sha256": file.sha256}),
    }
    coded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    headers = {**_TUS, "Upload-Length": str(file.size_bytes), "Upload-Metadata": coded}
    response = api.request("POST", _PATH, headers=headers)
    # Only the last part of the URL is used: behind a gateway, its prefix and scheme can be wrong.
    upload_id = response.headers.get("location", "").rstrip("/").rpartition("/")[2]
    if not upload_id:
        raise ArtifactStoreUnavailable("Storage began an upload without a location: the upload is repeated.")
    return f"{_PATH}/{upload_id}"


def _send_part(api: StorageApi, upload: str, file: LocalFile, offset: int) -> int:
    headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    part = file.part(offset, PART_BYTES)
    response = api.request("PATCH", upload, headers=headers, content=part)
    return _offset_of(response, file.size_bytes, offset + len(part))


def _offset(api: StorageApi, upload: str, size_bytes: int) -> int:
    return _offset_of(api.request("HEAD", upload, headers=dict(_TUS)), size_bytes, 0)


def _offset_of(response: httpx.Response, size_bytes: int, otherwise: int) -> int:
    header = response.headers.get("upload-offset", "")
    return min(int(header), size_bytes) if header.isascii() and header.isdigit() and len(header) < 19 else otherwise
