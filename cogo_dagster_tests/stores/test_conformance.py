"""The behaviour of every kind of store: a new kind is added to the fixture `place`."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.artifacts import (
    ArtifactNotFound,
    ArtifactStore,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    StoredObject,
    sweep_artifacts,
    upload_artifacts,
    upload_report,
)
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import running_job, settle
from cogo_dagster_tests.stores.place import KINDS, Place, read, upload


@pytest.fixture
def store(place: Place, queue: Queue) -> ArtifactStore:
    """Open the store for the test's database."""
    store = place.store()
    store.bind(queue.transport)
    return store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a small file."""
    path = tmp_path / "source.txt"
    path.write_text("hello")
    return path


def a_key(extension: str = "txt") -> str:
    """Return a key in the format of the engine."""
    return f"jobs/{uuid4()}/{uuid4()}/{hashlib.sha256(uuid4().bytes).hexdigest()}.{extension}"


@pytest.mark.parametrize("size_bytes", [0, 1, 6 << 20, (6 << 20) + 1])
def test_a_file_of_any_size_is_stored_and_read(store: ArtifactStore, source: Path, size_bytes: int) -> None:
    """Put returns the file's size and hash, and open its bytes."""
    content = b"x" * size_bytes
    source.write_bytes(content)
    key, sha256 = a_key(), hashlib.sha256(content).hexdigest()
    assert store.put(key, source, "text/plain") == StoredObject(size_bytes, sha256)
    with store.open(key) as stored:
        assert stored.read() == content


def test_a_file_is_replaced_and_deleted(store: ArtifactStore, source: Path) -> None:
    """Put replaces a file, and deleting it twice is allowed."""
    key = a_key()
    store.put(key, source, "text/plain")
    source.write_text("newer")
    store.put(key, source, "text/plain")
    assert read(store, key) == "newer"
    for _ in range(2):
        store.delete(key)
    with pytest.raises(ArtifactNotFound):
        store.open(key)


def test_only_keys_of_the_engine_are_listed(store: ArtifactStore, source: Path) -> None:
    """Numbered reports are listed; other files are not."""
    ours = {a_key(), f"reports/{'a' * 64}.json", f"reports/{'a' * 64}.2.png", f"reports/{'a' * 64}.1000.html"}
    theirs = {"notes.txt", "jobs/notes.txt", "reports/summary.pdf", f"other/{a_key()}", f"reports/{'a' * 63}.json"}
    for key in ours | theirs:
        store.put(key, source, "text/plain")
    assert set(store.keys(-60)) == ours
    assert set(store.keys(3_600)) == set()


def test_a_working_store_passes_its_check(store: ArtifactStore, place: Place) -> None:
    """The check leaves no object."""
    store.check()
    assert place.files() == set()


def test_an_unavailable_store_raises(store: ArtifactStore, place: Place, source: Path) -> None:
    """The check and uploads raise ArtifactStoreUnavailable until it works again."""
    place.make_unavailable()
    for attempt in (store.check, lambda: store.put(a_key(), source, "text/plain")):
        with pytest.raises(ArtifactStoreUnavailable):
            attempt()
    place.make_available()
    store.check()
    assert store.put(a_key(), source, "text/plain").size_bytes == 5


@pytest.mark.parametrize("method", ["put", "open", "delete", "names", "read_marker", "write_marker", "check"])
def test_an_unknown_error_means_that_the_store_is_unavailable(
    store: ArtifactStore, source: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Any unexpected exception becomes ArtifactStoreUnavailable, so that callers wait and retry."""
    objects = store._objects
    if method != "write_marker":
        store.put(a_key(), source, "text/plain")

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("an unexpected error")

    monkeypatch.setattr(type(objects), method, broken)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: store.put(a_key(), source, "text/plain"),
        "open": lambda: store.open(a_key()),
        "delete": lambda: store.delete_all([a_key()]),
        "names": lambda: list(store.keys(0)),
        "read_marker": store.confirm_owner,
        "write_marker": lambda: store.put(a_key(), source, "text/plain"),
        "check": store.check,
    }
    with pytest.raises(ArtifactStoreUnavailable, match="an unexpected error"):
        calls[method]()


def test_artifacts_of_equal_content_are_deleted_independently(
    place: Place, queue: Queue, owner: Owner, tmp_path: Path
) -> None:
    """They share an object, which is deleted with the last of them."""
    files = []
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("the same")
        files.append(ArtifactFile(name, "text/plain", tmp_path / name))
    job = running_job(queue)
    one, two = upload_artifacts(queue, place.store(), job, files)
    settle(queue, job)
    assert one["storage_key"] == two["storage_key"]
    for row, left in ((one, {one["storage_key"]}), (two, set())):
        owner.execute("update public.artifacts set status = 'orphaned' where id = %s", (row["artifact_id"],))
        assert sweep_artifacts(queue, place.store(), grace_seconds=0) == 1
        assert place.files() == left
    assert queue.list_artifacts() == []


@pytest.mark.parametrize(
    ("place", "max_seconds"),
    [*((kind, None) for kind in KINDS), ("folder", 0)],  # the time limit does not depend on the store
    ids=[*(f"{kind}-in one sweep" for kind in KINDS), "folder-in two"],
    indirect=["place"],
)
def test_undeletable_objects_do_not_keep_the_others(
    place: Place, queue: Queue, owner: Owner, monkeypatch: pytest.MonkeyPatch, max_seconds: float | None
) -> None:
    """More than a page of them come first, and everything else is deleted, whatever the time limit of a sweep is."""
    job = running_job(queue)
    sha256s = [f"{number:064x}" for number in range(510)]
    rows = [
        {"name": sha256, "content_type": "text/plain", "size_bytes": 1, "sha256": sha256, "extension": "txt"}
        for sha256 in sha256s
    ]
    made = queue.create_artifacts(job, rows)
    settle(queue, job)
    owner.execute(
        "update public.artifacts a set created_at = now() - make_interval(secs => 9000 - number)"
        " from unnest(%s::uuid[]) with ordinality as row (id, number) where row.id = a.id",
        ([row.artifact_id for row in made],),
    )
    undeletable = {row.storage_key for row in made[:505]}
    place.make_undeletable(undeletable, monkeypatch)
    store = place.store()
    for count in (505,) if max_seconds is None else (500, 5):
        with pytest.raises(ArtifactStoreError, match=f"Abandoned artifacts that cannot be deleted: {count}"):
            sweep_artifacts(queue, store, grace_seconds=0, max_seconds=max_seconds)
    left = owner.execute("select storage_key from public.artifacts").fetchall()
    assert {key for (key,) in left} == undeletable


def test_a_report_of_equal_content_is_stored_once(place: Place, queue: Queue, source: Path) -> None:
    """Its key is made from its content."""
    report = ArtifactFile("report.txt", "text/plain", source)
    one, two = (upload_report(queue.transport, place.store(), report) for _ in range(2))
    assert one["artifact_id"] == two["artifact_id"]
    assert place.files() == {one["storage_key"]}


def test_addresses_in_a_shared_store_are_correct(
    place: Place, queue: Queue, database: Callable[[], Queue], tmp_path: Path
) -> None:
    """Address names the file of the second database too, in a process that has written nothing."""
    upload(queue, place.store(), tmp_path, "first")
    other = database()
    key = upload(other, place.store(), tmp_path, "second")
    store = place.store()
    store.bind(other.transport)
    assert store.address(key).endswith(next(name for name in place.files() if name.endswith(key)))
