"""The store in Supabase Storage: uploads survive lost replies, and only this database's objects are deleted."""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from cogo_dagster.queue.artifacts import (
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    StoredObject,
    sweep_unknown_objects,
    upload_artifacts,
)
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import AccessDenied
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster.queue.supabase.resumable import PART_BYTES
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster_tests.queue.steps import running_job
from cogo_dagster_tests.supabase.keys import ANON, ANOTHER_SECRET, SERVICE_ROLE, legacy_key
from cogo_dagster_tests.supabase.server import StandIn

QUICK: dict[str, Any] = {"first_pause_seconds": 0.01}
HELLO = StoredObject(5, hashlib.sha256(b"hello").hexdigest())
AN_HOUR = 3600.0


@pytest.fixture
def store(stand_in: StandIn) -> Iterator[SupabaseStore]:
    """Yield a store whose bucket does not exist yet."""
    store = SupabaseStore(stand_in.project(), "artifacts", **QUICK)
    yield store
    store.close()


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """Return a small file."""
    (tmp_path / "hello.txt").write_text("hello")
    return tmp_path / "hello.txt"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a file of three parts."""
    path = tmp_path / "trace.zip"
    path.write_bytes(os.urandom(2 * PART_BYTES + 17))
    return path


def a_key(extension: str = "txt") -> str:
    """Return a key in the generated form."""
    return f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(uuid4().bytes).hexdigest()}.{extension}"


def sha256(path: Path) -> str:
    """Return a file's hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_object_is_replaced(store: SupabaseStore, hello: Path) -> None:
    """A repeated upload finds its object."""
    name = a_key()
    assert store.put(name, hello, "text/plain") == store.put(name, hello, "text/plain") == HELLO


def test_a_large_file_is_uploaded_in_parts(store: SupabaseStore, stand_in: StandIn, large: Path) -> None:
    """There are three parts of at most 6 MiB; type and hash are stored, and the bytes are those of the file."""
    name = a_key("zip")
    stored = store.put(name, large, "application/zip")
    assert stored == StoredObject(large.stat().st_size, sha256(large))
    kept = stand_in.storage.buckets["artifacts"].objects[name]
    assert (kept.content_type, kept.metadata) == ("application/zip", {"sha256": stored.sha256})
    assert [method for method, path in stand_in.faults.requests if "/upload/resumable/" in path] == ["PATCH"] * 3


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_large_upload_is_resumed(store: SupabaseStore, stand_in: StandIn, large: Path, kind: Any) -> None:
    """If the connection breaks before or after the server stored a part, the upload resumes at the server's offset."""
    name = a_key("zip")
    stand_in.faults.order(kind, "/upload/resumable/", times=1)
    assert store.put(name, large, "application/zip").sha256 == sha256(large)
    patches = [method for method, path in stand_in.faults.requests if "/upload/resumable/" in path].count("PATCH")
    assert patches == 4, "One part was sent twice, the others were not."


def test_an_upload_resumes_within_a_part(store: SupabaseStore, stand_in: StandIn, large: Path) -> None:
    """The upload resumes at the server's offset, which may be any byte."""
    stand_in.storage.torn_parts = [1_000, 0, PART_BYTES - 1]
    name = a_key("zip")
    assert store.put(name, large, "application/zip").sha256 == sha256(large)
    assert stand_in.storage.buckets["artifacts"].objects[name].data == large.read_bytes()


def test_an_upload_without_an_object_is_repeated(store: SupabaseStore, stand_in: StandIn, large: Path) -> None:
    """A server that has all parts and creates no object reports the upload as complete: the object is checked."""
    stand_in.storage.lost_ends = 1
    name = a_key("zip")
    assert store.put(name, large, "application/zip").sha256 == sha256(large)
    assert ("POST", "/storage/v1/upload/resumable") in stand_in.faults.requests
    assert len(stand_in.storage.uploads) == 2


def test_a_second_upload_without_an_object_is_an_error(store: SupabaseStore, stand_in: StandIn, large: Path) -> None:
    """The upload is repeated once, and not forever."""
    stand_in.storage.lost_ends = 9
    with pytest.raises(ArtifactStoreError, match="does not exist"):
        store.put(a_key("zip"), large, "application/zip")


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "answer", "cut_short"])
def test_a_small_upload_is_repeated(store: SupabaseStore, stand_in: StandIn, hello: Path, kind: Any) -> None:
    """The key and the bytes are the same, whether or not the server stored the first upload."""
    stand_in.faults.order(kind, "/object/artifacts/jobs", times=2)
    assert store.put(a_key(), hello, "text/plain") == HELLO


@pytest.mark.parametrize("size", ["small", "large"])
def test_different_stored_bytes_are_detected(
    store: SupabaseStore, stand_in: StandIn, hello: Path, large: Path, size: str
) -> None:
    """The size and hash are those of the stored object and not of the file."""
    stand_in.storage.spoil = lambda data: data[:-1] + b"\0"
    source = hello if size == "small" else large
    stored = store.put(a_key(), source, "text/plain")
    assert stored.size_bytes == source.stat().st_size
    assert stored.sha256 == hashlib.sha256(source.read_bytes()[:-1] + b"\0").hexdigest()


def test_without_an_md5_etag_the_object_is_read_back(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """An ETag that is not an MD5 proves nothing."""
    stand_in.storage.whole_etags = False
    name = a_key()
    assert store.put(name, hello, "text/plain") == HELLO
    assert ("GET", f"/storage/v1/object/authenticated/artifacts/{name}") in stand_in.faults.requests


def test_an_object_is_opened(store: SupabaseStore, large: Path) -> None:
    """The object is downloaded completely, and closing it leaves no file."""
    name = a_key("zip")
    store.put(name, large, "application/zip")
    with store.open(name) as read:
        assert hashlib.sha256(read.read()).hexdigest() == sha256(large)


def test_an_interrupted_download_is_an_error(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """A partial file is not returned."""
    name = a_key()
    store.put(name, hello, "text/plain")
    stand_in.faults.order("cut_short", "/object/authenticated", times=9)
    with pytest.raises(ArtifactStoreUnavailable, match="was interrupted"):
        store.open(name)


def test_a_missing_object_is_an_error(store: SupabaseStore, hello: Path) -> None:
    """This holds for opening and for signing."""
    store.put(a_key(), hello, "text/plain")
    for ask in (store.open, lambda name: store.signed_url(name, 60)):
        with pytest.raises(ArtifactStoreError, match="does not exist"):
            ask(a_key())


def test_a_signed_url_gives_access_until_it_expires(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """The URL is absolute, needs no key and has the requested file name; a modified one gives no access."""
    name = a_key()
    store.put(name, hello, "text/plain")
    url = store.signed_url(name, 60, "a name & more.txt")
    assert url is not None
    assert url.startswith(f"{stand_in.url}/storage/v1/object/sign/artifacts/jobs/")
    answer = httpx.get(url)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "hello", "text/plain")
    assert "filename*=UTF-8''a%20name%20%26%20more.txt" in answer.headers["content-disposition"]
    assert httpx.get(url.replace(name, a_key())).json()["code"] == "InvalidSignature"
    assert SERVICE_ROLE not in url


def test_an_unsigned_address_gives_no_access(store: SupabaseStore, hello: Path) -> None:
    """The address is permanent, so it can be stored and shown, and requires a key."""
    name = a_key()
    store.put(name, hello, "text/plain")
    assert httpx.get(store.address(name)).status_code == 400
    assert urlsplit(store.address(name)).query == ""


def test_deleting_ignores_missing_objects(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """Deleting succeeds before the bucket exists and twice in a row."""
    name = a_key()
    store.delete(name)
    store.put(name, hello, "text/plain")
    store.delete(name)
    store.delete(name)
    assert stand_in.addresses() == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (ANON, "has no access to it"),
        (legacy_key("service_role", secret=ANOTHER_SECRET), "rejected the key"),
        (legacy_key("service_role", expires_in=-60), "rejected the key"),
        ("sb_secret_of_another_project", "rejected the key"),
    ],
    ids=["anon", "forged", "expired", "unknown"],
)
def test_a_wrong_key_is_reported(stand_in: StandIn, hello: Path, key: str, message: str) -> None:
    """Storage returns 400 for every error; the message depends on the code in the body."""
    store = SupabaseStore(stand_in.project(key), "artifacts", **QUICK)
    kind = ArtifactStoreUnavailable if key == ANON else AccessDenied
    with pytest.raises(kind, match=message):
        store.put(a_key(), hello, "text/plain")
    with pytest.raises(kind, match=message):
        store.check()
    store.close()


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_file_above_the_limit_is_rejected(
    store: SupabaseStore, stand_in: StandIn, hello: Path, large: Path, size: str
) -> None:
    """The message says which limit to raise."""
    store.put(a_key(), hello, "text/plain")
    stand_in.storage.buckets["artifacts"].file_size_limit = 3
    with pytest.raises(ArtifactRejected, match=r"larger than the bucket artifacts .*raise the limit"):
        store.put(a_key(), hello if size == "small" else large, "text/plain")


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_type_that_the_bucket_does_not_accept_is_rejected(
    store: SupabaseStore, stand_in: StandIn, hello: Path, large: Path, size: str
) -> None:
    """The message says where to allow it; a large file is rejected before a part is sent."""
    store.put(a_key(), hello, "text/plain")
    stand_in.storage.buckets["artifacts"].allowed_mime_types = ["image/*"]
    with pytest.raises(ArtifactRejected, match="does not accept this type"):
        store.put(a_key(), hello if size == "small" else large, "text/plain")
    assert not [method for method, _ in stand_in.faults.requests if method == "PATCH"]


def test_an_unreachable_project_is_reported(stand_in: StandIn, hello: Path) -> None:
    """The error is raised after some retries."""
    store = SupabaseStore(stand_in.project(), "artifacts", **QUICK)
    stand_in.faults.cut()
    with pytest.raises(ArtifactStoreUnavailable, match="Storage cannot be reached"):
        store.put(a_key(), hello, "text/plain")
    store.close()


@pytest.mark.parametrize("newer", [True, False], ids=["one listing", "folder by folder"])
def test_all_old_keys_are_listed(store: SupabaseStore, stand_in: StandIn, hello: Path, newer: bool) -> None:
    """There is more than one page, on servers with and without the newer listing; young objects are left out."""
    stand_in.storage.has_list_v2 = newer
    store.put(a_key(), hello, "text/plain")
    objects = stand_in.storage.buckets["artifacts"].objects
    [young] = [name for name in objects if name.startswith("jobs/")]
    attempt = a_key().rpartition("/")[0]
    old = {f"{attempt}/{number:064x}.txt" for number in range(1_050)}
    old |= {a_key() for _ in range(50)} | {f"reports/{HELLO.sha256}.json"}
    for name in old:
        objects[name] = type(objects[young])(b"", "text/plain", "")
        objects[name].created_at -= timedelta(seconds=2 * AN_HOUR)
    assert set(store.keys(AN_HOUR)) == old


def test_html_instead_of_a_listing_is_an_error(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """HTML with status 200 ends the listing with a message and not with an exception of the parser."""
    store.put(a_key(), hello, "text/plain")
    stand_in.faults.order("answer", "/object/list", status=200, times=9)
    with pytest.raises(ArtifactStoreUnavailable, match="comes from a proxy"):
        list(store.keys(0))


def test_only_our_unknown_objects_are_swept(store: SupabaseStore, stand_in: StandIn, queue: Queue, hello: Path) -> None:
    """An object with a row is kept, one without is deleted, and other objects in the bucket are kept."""
    upload_artifacts(queue, store, running_job(queue), [ArtifactFile("hello.txt", "text/plain", hello)])
    forgotten = a_key()
    store.put(forgotten, hello, "text/plain")
    store.put("invoices/2026.pdf", hello, "application/pdf")
    objects = stand_in.storage.buckets["artifacts"].objects
    for stored in objects.values():
        stored.created_at -= timedelta(seconds=2 * AN_HOUR)
    before = set(objects)
    assert sweep_unknown_objects(queue, store) == 1
    assert before - set(objects) == {forgotten}


def test_another_error_with_status_409_is_not_a_duplicate(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """Storage returns 409 for failed transactions too: the code distinguishes them."""
    body = b'{"statusCode":"409","error":"TransactionError","message":"it failed","code":"TransactionError"}'
    stand_in.faults.order("answer", "/object/artifacts/jobs", status=400, body=body, content_type="application/json")
    with pytest.raises(ArtifactStoreUnavailable, match="409: it failed"):
        store.put(a_key(), hello, "text/plain")


def test_rows_contain_the_permanent_address(store: SupabaseStore, stand_in: StandIn, queue: Queue, hello: Path) -> None:
    """No row contains a token."""
    job = running_job(queue)
    [made] = upload_artifacts(queue, store, job, [ArtifactFile("hello.txt", "text/plain", hello)])
    assert [made["address"]] == stand_in.addresses()
    assert "token" not in json.dumps([row.document for row in queue.list_artifacts()])
