"""A bucket of S3: parts, pages, signed URLs, and the errors of the service."""

import hashlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs
from uuid import uuid4

import httpx
import pytest

from cogo_dagster.bootstrap.artifacts import artifact_store
from cogo_dagster.queue.artifacts import (
    ArtifactNotFound,
    ArtifactStore,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    FolderStore,
    StoredObject,
)
from cogo_dagster.queue.artifacts.files import LocalFile, measured
from cogo_dagster.queue.artifacts.remote import PART_BYTES
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.stores.s3_server import BUCKET, S3Server


@pytest.fixture
def store(s3: S3Server) -> ArtifactStore:
    """Return a store with a prefix in an empty bucket."""
    return s3.store(f"{BUCKET}/production")


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """Write a small file."""
    (tmp_path / "hello.txt").write_text("hello")
    return tmp_path / "hello.txt"


def a_key() -> str:
    """Return a key in the format of the engine."""
    return f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(uuid4().bytes).hexdigest()}.txt"


def test_a_large_file_is_uploaded_in_parts(store: ArtifactStore, s3: S3Server, tmp_path: Path) -> None:
    """Each part has the part size, and the stored object is read back and compared."""
    source = tmp_path / "trace.zip"
    content = os.urandom(2 * PART_BYTES + 17)
    source.write_bytes(content)
    stored = store.put(a_key(), source, "application/zip")
    assert stored == StoredObject(len(content), hashlib.sha256(content).hexdigest())
    parts = [
        parse_qs(query)["partNumber"] for method, query in s3.requests if method == "PUT" and "partNumber" in query
    ]
    assert parts == [["1"], ["2"], ["3"]]


def test_an_interrupted_upload_stores_nothing(
    store: ArtifactStore, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that were sent become no object, and an existing object stays as it was."""
    source = tmp_path / "trace.zip"
    source.write_bytes(b"x" * (2 * PART_BYTES))
    key = a_key()
    name = f"production/{key}"
    s3.write(name, b"earlier")

    def interrupted(_: LocalFile) -> Iterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise ArtifactStoreError("An artifact file cannot be read: Input/output error.")

    file = measured(source)
    monkeypatch.setattr(LocalFile, "chunks", interrupted)
    with pytest.raises(ArtifactStoreError, match="Input/output error"):
        store.put(key, file, "application/zip")
    assert s3.objects[name].value == b"earlier"


def test_a_thousand_objects_are_deleted_with_two_requests(store: ArtifactStore, s3: S3Server) -> None:
    """One request deletes 500 objects, and one denied object keeps only itself."""
    keys = [a_key() for _ in range(1_000)]
    for key in keys:
        s3.write(f"production/{key}", b"x")
    s3.undeletable = {keys[3]}
    s3.requests.clear()
    assert set(store.delete_all(keys)) == {keys[3]}
    assert [method for method, _ in s3.requests] == ["POST", "POST"]
    assert set(s3.objects) == {f"production/{keys[3]}"}


def test_objects_are_listed_in_pages(store: ArtifactStore, s3: S3Server) -> None:
    """More objects than a page holds are listed, and no object of another prefix is."""
    keys = {a_key() for _ in range(1_003)}
    for key in keys:
        s3.write(f"production/{key}", b"x")
    s3.write(a_key(), b"of another deployment")
    assert set(store.keys(-60)) == keys


@pytest.mark.parametrize("name", ["홈페이지 화면.png", 'a"b;c.png', "a/b.png"])
def test_a_signed_url_downloads_under_any_name(store: ArtifactStore, hello: Path, name: str) -> None:
    """Anyone can open the URL, and the response contains the name of the file."""
    key = a_key()
    store.put(key, hello, "image/png")
    url = store.signed_url(key, 60, name)
    assert url
    response = httpx.get(url)
    assert (response.status_code, response.text, response.headers["content-type"]) == (200, "hello", "image/png")
    assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert httpx.get(url.partition("?")[0].replace(key, a_key())).status_code == 404
    with pytest.raises(ArtifactNotFound):
        store.signed_url(a_key(), 60, name)


def test_throttling_is_retried(store: ArtifactStore, s3: S3Server, hello: Path) -> None:
    """Two responses 503 do not fail an upload."""
    s3.error, s3.error_count = "SlowDown", 2
    assert store.put(a_key(), hello, "text/plain").size_bytes == 5


@pytest.mark.parametrize("error", ["ExpiredToken", "AccessDenied"])
def test_rejected_credentials_are_reported(store: ArtifactStore, s3: S3Server, hello: Path, error: str) -> None:
    """The store counts as unavailable, so that jobs wait, and the message names the credentials."""
    s3.error = error
    for attempt in (store.check, lambda: store.put(a_key(), hello, "text/plain"), lambda: store.delete(a_key())):
        with pytest.raises(ArtifactStoreUnavailable, match="rejects the credentials"):
            attempt()


def test_a_missing_bucket_is_reported(s3: S3Server, hello: Path) -> None:
    """An object of a bucket that does not exist is not reported as deleted or missing."""
    store = s3.store("artifcts")
    for attempt in (
        store.check,
        lambda: store.put(a_key(), hello, "text/plain"),
        lambda: store.open(a_key()),
        lambda: list(store.keys(0)),
    ):
        with pytest.raises(ArtifactStoreUnavailable, match=r"artifcts .*does not exist"):
            attempt()


def test_a_server_that_does_not_respond_is_unavailable(s3: S3Server) -> None:
    """A connection that is refused is a store error."""
    store = s3.store_with(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(ArtifactStoreUnavailable, match="is not available"):
        store.check()


def test_the_setting_chooses_the_store(s3: S3Server, tmp_path: Path, hello: Path) -> None:
    """S3 has the credentials of the settings; a folder may be anywhere."""
    settings = load_settings(
        COGO_HOME=str(tmp_path),
        COGO_ARTIFACT_URL="s3://artifacts/production/",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="a secret of the test",
        AWS_ENDPOINT_URL=s3.url,
        AWS_REGION="us-east-1",
    )
    key = a_key()
    store = artifact_store(settings)
    store.put(key, hello, "text/plain")
    assert set(s3.objects) == {f"production/{key}"}
    assert store.address(key) == f"s3://artifacts/production/{key}"
    assert "a secret of the test" in settings.secret_values()
    folder = artifact_store(load_settings(COGO_HOME=str(tmp_path), COGO_ARTIFACT_URL=f"file://{tmp_path}/shared"))
    assert isinstance(folder, FolderStore)
    folder.put(key, hello, "text/plain")
    assert (tmp_path / "shared" / key).is_file()


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "ftp://host/folder",
        "s3://key:secret@bucket",
        "file://host/folder",
        "s3://bucket?x=1",
        "s3://bucket/../x",
        "/folder",
    ],
)
def test_an_unusable_url_is_rejected(url: str) -> None:
    """The message names the setting and its form."""
    with pytest.raises(SettingsError, match=r"COGO_ARTIFACT_URL .*s3://bucket/prefix"):
        load_settings(COGO_ARTIFACT_URL=url)


@pytest.mark.parametrize(("scheme", "module"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, module: str) -> None:
    """The message contains the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, scheme, raising=False)
    settings = load_settings(COGO_HOME=str(tmp_path), COGO_ARTIFACT_URL=f"{scheme}://bucket")
    with pytest.raises(SettingsError, match=rf"pip install 'cogo-dagster\[{scheme}\]'"):
        artifact_store(settings)
