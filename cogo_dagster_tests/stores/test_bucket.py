"""A bucket of Supabase Storage: nothing is written to a public one, and every call is bounded."""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cogo_dagster.queue.artifacts import ArtifactRejected, ArtifactStoreUnavailable, StoredObject, upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster.queue.supabase import store as store_module
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.supabase.resumable import PART_BYTES
from cogo_dagster.queue.supabase.storage_api import StorageApi
from cogo_dagster.queue.supabase.store import SupabaseStore
from cogo_dagster_tests.queue.steps import running_job
from cogo_dagster_tests.supabase.keys import SECRET_KEY, SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn

QUICK: dict[str, Any] = {"first_pause_seconds": 0.01}
HELLO = StoredObject(5, hashlib.sha256(b"hello").hexdigest())


@pytest.fixture
def store(stand_in: StandIn) -> Iterator[SupabaseStore]:
    """Return a store with an empty bucket."""
    store = SupabaseStore(stand_in.project(), "artifacts", **QUICK)
    yield store
    store.close()


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """Write a small file."""
    (tmp_path / "hello.txt").write_text("hello")
    return tmp_path / "hello.txt"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Write a file of three parts."""
    path = tmp_path / "trace.zip"
    path.write_bytes(os.urandom(2 * PART_BYTES + 17))
    return path


def a_key(extension: str = "txt") -> str:
    """Return a key in the format of the engine."""
    return f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(uuid4().bytes).hexdigest()}.{extension}"


@contextmanager
def silent_server() -> Iterator[str]:
    """Accept connections and never respond."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("key", [SERVICE_ROLE, SECRET_KEY], ids=["legacy", "secret"])
def test_the_bucket_is_created_and_the_object_keeps_type_and_hash(stand_in: StandIn, hello: Path, key: str) -> None:
    """With create_bucket, the first upload creates a private bucket, with both kinds of keys."""
    stand_in.storage.buckets.clear()
    store, name = SupabaseStore(stand_in.project(key), "artifacts", create_bucket=True), a_key()
    assert store.put(name, hello, "text/x-note") == HELLO
    bucket = stand_in.storage.buckets["artifacts"]
    assert bucket.public is False
    stored = bucket.objects[name]
    assert (stored.data, stored.content_type, stored.metadata) == (b"hello", "text/x-note", {"sha256": HELLO.sha256})
    store.close()


def test_concurrent_creations_of_the_bucket_succeed(stand_in: StandIn, hello: Path) -> None:
    """Six stores upload at once to a missing bucket."""
    stand_in.storage.buckets.clear()
    stores = [SupabaseStore(stand_in.project(), "artifacts", create_bucket=True, **QUICK) for _ in range(6)]
    together = Barrier(6)

    def put(store: SupabaseStore) -> StoredObject:
        together.wait()
        return store.put(a_key(), hello, "text/plain")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(put, stores)) == [HELLO] * 6
    for store in stores:
        store.close()


@pytest.mark.parametrize("known", [False, True], ids=["never seen", "deleted later"])
def test_a_missing_bucket_is_not_created_by_default(
    store: SupabaseStore, stand_in: StandIn, hello: Path, known: bool
) -> None:
    """A typo in its name creates no bucket; the error says how to create one."""
    if known:
        store.put(a_key(), hello, "text/plain")
    stand_in.storage.buckets.clear()
    for attempt in (lambda: store.put(a_key(), hello, "text/plain"), store.check):
        with pytest.raises(ArtifactStoreUnavailable, match=r"artifacts does not exist.*COGO_ARTIFACT_BUCKET_CREATE"):
            attempt()
    assert stand_in.storage.buckets == {}


def test_a_deleted_bucket_is_created_again(stand_in: StandIn, hello: Path) -> None:
    """With create_bucket, a store that used it before creates it again."""
    store = SupabaseStore(stand_in.project(), "artifacts", create_bucket=True, **QUICK)
    store.put(a_key(), hello, "text/plain")
    stand_in.storage.buckets.clear()
    assert store.put(a_key(), hello, "text/plain") == HELLO
    assert not stand_in.storage.buckets["artifacts"].public
    store.close()


def test_nothing_is_written_to_a_public_bucket(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """Neither an artifact nor a marker is written; the error says how to make the bucket private."""
    stand_in.storage.buckets["artifacts"].public = True
    for attempt in (lambda: store.put(a_key(), hello, "text/plain"), store.check):
        with pytest.raises(ArtifactStoreUnavailable, match=r"is public.*make it private"):
            attempt()
    assert stand_in.storage.buckets["artifacts"].objects == {}
    stand_in.storage.buckets["artifacts"].public = False
    store.check()
    assert store.put(a_key(), hello, "text/plain") == HELLO


def test_a_bucket_that_becomes_public_is_detected_within_minutes(
    store: SupabaseStore, stand_in: StandIn, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process checks again after five minutes that the bucket is private."""
    store.put(a_key(), hello, "text/plain")
    stand_in.storage.buckets["artifacts"].public = True
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 301)
    with pytest.raises(ArtifactStoreUnavailable, match="is public"):
        store.put(a_key(), hello, "text/plain")


def test_a_bucket_for_images_only_is_usable(store: SupabaseStore, stand_in: StandIn, queue: Queue, hello: Path) -> None:
    """The owner marker is sent with a type that the bucket accepts."""
    stand_in.storage.buckets["artifacts"].allowed_mime_types = ["image/*"]
    job = running_job(queue)
    assert upload_artifacts(queue, store, job, [ArtifactFile("hello.png", "image/png", hello)])
    with pytest.raises(ArtifactRejected, match="does not accept this type"):
        upload_artifacts(queue, store, job, [ArtifactFile("hello.bin", "application/octet-stream", hello)])


def test_many_objects_are_deleted_with_few_requests(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """One request per object would take an hour for 100,000."""
    names = [a_key() for _ in range(1_100)]
    objects = stand_in.storage.buckets["artifacts"].objects
    store.put(names[0], hello, "text/plain")
    objects.update(dict.fromkeys(names, objects[names[0]]))
    assert store.delete_all(names) == {}
    assert stand_in.addresses() == []
    assert [method for method, _ in stand_in.faults.requests].count("DELETE") == 3


def test_an_undeletable_object_does_not_keep_the_others(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """Storage rejects a whole request because of one name: the others are deleted with further requests."""
    names = [a_key() for _ in range(20)]
    for name in names:
        store.put(name, hello, "text/plain")
    stand_in.storage.undeletable = {names[7]}
    assert set(store.delete_all(names)) == {names[7]}
    assert len(stand_in.addresses()) == 1


def test_a_server_that_never_responds_is_unavailable(
    stand_in: StandIn, hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call ends if connections are accepted and no response comes."""
    monkeypatch.setattr(store_module, "_CHECK_SECONDS", 0.2)
    with silent_server() as url:
        project = Project(url, stand_in.project().key)
        quick: dict[str, Any] = {"timeout": httpx.Timeout(0.2), "call_seconds": 0.5, "first_pause_seconds": 0.01}
        store = SupabaseStore(project, "artifacts", **quick)
        key = a_key()
        calls: list[Callable[[], object]] = [
            store.check,
            lambda: store.put(key, hello, "text/plain"),
            lambda: store.delete(key),
            lambda: store.open(key),
            lambda: store.signed_url(key, 60),
            lambda: list(store.keys(0)),
        ]
        for call in calls:
            with pytest.raises(ArtifactStoreUnavailable, match="cannot be reached"):
                call()
        store.close()


def test_a_slow_response_is_given_up(store: SupabaseStore, stand_in: StandIn, hello: Path) -> None:
    """A call has a time limit even if single bytes keep arriving."""
    store.put(a_key(), hello, "text/plain")
    api = StorageApi(stand_in.project(), "artifacts", call_seconds=-1, **QUICK)
    with pytest.raises(ArtifactStoreUnavailable, match="too slowly"):
        api.request("GET", "/bucket/artifacts")
    api.close()


def test_an_upload_without_progress_is_given_up(
    store: SupabaseStore, stand_in: StandIn, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client stops if the server accepts parts but keeps none."""
    monkeypatch.setattr("cogo_dagster.queue.supabase.resumable.time.sleep", lambda _: None)
    stand_in.storage.keeps_parts = False
    with pytest.raises(ArtifactStoreUnavailable, match="does not keep it"):
        store.put(a_key("zip"), large, "application/zip")


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"objects": null, "hasNext": true}', b'"no"', b"[" * 100_000, b'{"hasNext": false}']
)
def test_a_malformed_response_is_a_store_error(
    store: SupabaseStore, stand_in: StandIn, hello: Path, body: bytes
) -> None:
    """Any unexpected JSON raises ArtifactStoreUnavailable."""
    store.put(a_key(), hello, "text/plain")
    for word in ("/object/list", "/object/sign"):
        stand_in.faults.order("answer", word, status=200, body=body, content_type="application/json", times=99)
    with pytest.raises(ArtifactStoreUnavailable):
        list(store.keys(0))
    with pytest.raises(ArtifactStoreUnavailable):
        store.signed_url(a_key(), 60)
    stand_in.faults.order("answer", "/bucket/", status=200, body=body, content_type="application/json", times=99)
    with pytest.raises(ArtifactStoreUnavailable):
        store.check()
