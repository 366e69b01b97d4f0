"""Uploads in parts (TUS), resumed where a connection broke."""

import base64
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from cogo_dagster.queue.artifacts import ArtifactStoreError
from cogo_dagster.queue.supabase.storage_api import StorageApi, StorageRefused

PART_BYTES: Final = 6 * 1024 * 1024
"""The only size Storage takes for all parts but the last; smaller files are uploaded in one request."""

_RESUMPTIONS: Final = 5
_TUS: Final[Mapping[str, str]] = {"Tus-Resumable": "1.0.0", "x-upsert": "true"}
_PATH: Final = "/upload/resumable"


def upload_in_parts(api: StorageApi, storage_key: str, source: Path, content_type: str, sha256: str) -> None:
    """Upload a file part by part, replacing what was there.

    Raises:
        ArtifactStoreError: It did not come through, although it was resumed again and again.
    """
    size_bytes = source.stat().st_size
    upload = _begin(api, storage_key, size_bytes, content_type, sha256)
    offset, stumbles, pause_seconds = 0, 0, 0.2
    with source.open("rb") as read:
        while offset < size_bytes:
            try:
                offset = _send_part(api, upload, read, offset)
            except StorageRefused as refused:
                # 409: the server has another offset, because the answer to a part was lost.
                stumbles += 1
                if stumbles > _RESUMPTIONS or refused.status not in (0, 409):
                    raise
                time.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                offset = _offset(api, upload)


def _begin(api: StorageApi, storage_key: str, size_bytes: int, content_type: str, sha256: str) -> str:
    metadata = {
        "bucketName": api.bucket,
        "objectName": storage_key,
        "contentType": content_type,
        "cacheControl": "3600",
        "metadata": json.dumps({"sha256": sha256}),
    }
    coded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    answer = api.request("POST", _PATH, headers={**_TUS, "Upload-Length": str(size_bytes), "Upload-Metadata": coded})
    # Only the last part of the address is of use: behind a gateway the server does not know its own prefix or scheme.
    upload_id = answer.headers.get("location", "").rstrip("/").rpartition("/")[2]
    if not upload_id:
        raise ArtifactStoreError("Storage began an upload and did not say where: the upload is repeated.")
    return f"{_PATH}/{upload_id}"


def _send_part(api: StorageApi, upload: str, read: BinaryIO, offset: int) -> int:
    read.seek(offset)
    headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    part = read.read(PART_BYTES)
    answer = api.request("PATCH", upload, headers=headers, content=part)
    return int(answer.headers.get("upload-offset", offset + len(part)))


def _offset(api: StorageApi, upload: str) -> int:
    return int(api.request("HEAD", upload, headers=dict(_TUS)).headers.get("upload-offset", 0))
