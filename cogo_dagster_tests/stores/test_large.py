"""An object larger than one request of S3 may be, on a server that stores objects on disk (s3rver from npm)."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest

from cogo_dagster.queue.artifacts import ArtifactStore, StoredObject
from cogo_dagster.queue.artifacts.files import CHUNK_BYTES
from cogo_dagster.queue.artifacts.remote import PART_BYTES, file_system
from cogo_dagster.queue.artifacts.s3 import S3Objects
from cogo_dagster_tests.npm import npm_packages
from cogo_dagster_tests.ports import reserved_port
from cogo_dagster_tests.programs import missing, required

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

SIZE_BYTES: Final = 5_400_000_000
"""More than the 5 GiB (5,368,709,120 bytes) that S3 accepts in one request."""
BUCKET: Final = "artifacts"
S3RVER: Final = "3.7.1"
_CREDENTIALS: Final = {"key": "S3RVER", "secret": "S3RVER"}
_DISK_BYTES: Final = 12 * 10**9
"""The server has the parts and the object at the same time; the file that is uploaded has holes."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk with enough space, whose files are deleted when the test ends."""
    if shutil.disk_usage(tmp_path).free < _DISK_BYTES:
        missing("12 GB of free disk space", "run this test with `--basetemp` on a larger disk")
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture
def store(folder: Path) -> Iterator[ArtifactStore]:
    """Yield a store with a prefix in an empty bucket of s3rver."""
    [node] = required("node")
    program = npm_packages(f"s3rver-{S3RVER}", [f"s3rver@{S3RVER}"]) / "s3rver/bin/s3rver.js"
    with reserved_port() as port:
        address = ["--address", "127.0.0.1", "--port", str(port)]
        options = ["--directory", str(folder / "objects"), "--configure-bucket", BUCKET, "--silent"]
        process = subprocess.Popen([node, str(program), *address, *options], stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        # Unlike S3, the server sends nothing while it joins the parts.
        client = {"read_timeout": 900, "retries": {"max_attempts": 1}, "signature_version": "s3v4"}
        connection = {"endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}, "config_kwargs": client}
        yield ArtifactStore(S3Objects(file_system("s3", {**_CREDENTIALS, **connection}), f"{BUCKET}/production"))
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.05)
    raise AssertionError("s3rver did not start within 60 s")


def test_an_object_of_more_than_five_gigabytes_is_stored(store: ArtifactStore, folder: Path) -> None:
    """S3 accepts at most 5 GiB in one request; the parts have no such limit, and keep their order."""
    source = folder / "large.bin"
    with source.open("wb") as written:
        for first in range(0, SIZE_BYTES - 16, PART_BYTES):
            written.seek(first)
            written.write(first.to_bytes(8))
        written.truncate(SIZE_BYTES)
    key = f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(b'large').hexdigest()}.bin"
    assert store.put(key, source, "application/octet-stream") == StoredObject(SIZE_BYTES, _sha256(source))
    assert list(store.keys(-60)) == [key]
    url = store.signed_url(key, 60)
    assert url
    last = httpx.get(url, headers={"Range": f"bytes={SIZE_BYTES - 8}-"})
    assert (last.status_code, last.content) == (206, bytes(8))
    assert store.delete_all([key]) == {}
    assert list(store.keys(-60)) == []


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as read:
        while chunk := read.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
