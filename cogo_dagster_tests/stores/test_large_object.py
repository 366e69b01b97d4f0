"""An object of more than 5 GiB, on a server that stores it on disk; it needs 12 GB there, which are freed again."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from cogo_dagster.queue.artifacts import ArtifactStore, StoredObject
from cogo_dagster_tests.programs import missing
from cogo_dagster_tests.stores.disk_server import disk_server, disk_store
from cogo_dagster_tests.stores.test_s3 import a_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

SIZE_BYTES: Final = 5_400_000_000
"""More than the 5 GiB (5,368,709,120 bytes) that S3 accepts in one request."""
_DISK_BYTES: Final = 12_500_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArtifactStore]:
    """Yield a prefix of a bucket on disk."""
    if shutil.disk_usage(tmp_path).free < _DISK_BYTES:
        missing("12.5 GB of free disk", "set TMPDIR to a folder of a larger disk")
    with disk_server(tmp_path / "bucket") as url:
        yield disk_store(url, "production")
    shutil.rmtree(tmp_path)


def test_an_object_of_more_than_five_gigabytes_is_stored(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is uploaded in parts, read back and compared, listed, downloaded by a signed URL, and deleted."""
    source, key = tmp_path / "large.bin", a_key()
    with source.open("wb") as written:
        written.truncate(SIZE_BYTES - 5)
        written.seek(0, 2)
        written.write(b"hello")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with source.open("rb") as read:
        sha256 = hashlib.file_digest(read, "sha256").hexdigest()
    assert store.put(key, source, "application/octet-stream") == StoredObject(SIZE_BYTES, sha256)
    assert list(store.keys(-60)) == [key]
    url = store.signed_url(key, 60)
    assert url
    end = httpx.get(url, headers={"range": f"bytes={SIZE_BYTES - 5}-"})
    assert (end.status_code, end.text) == (206, "hello")
    assert end.headers["content-range"].endswith(f"/{SIZE_BYTES}")
    assert store.delete_all([key]) == {}
    assert list(store.keys(-60)) == []
