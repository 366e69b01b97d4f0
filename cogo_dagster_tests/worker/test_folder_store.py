"""The folder store: atomic writes below its folder, without empty folders left."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from errno import EACCES, EDQUOT, EFBIG, EIO, ENAMETOOLONG, ENOSPC, ENOTCONN, ENXIO, EROFS, ESTALE
from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import (
    ArtifactNotFound,
    ArtifactRejected,
    ArtifactStoreError,
    ArtifactStoreUnavailable,
    FolderStore,
    StoredObject,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file to store."""
    path = tmp_path / "source.txt"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the store's folder."""
    return tmp_path / "artifacts"


def test_put_returns_what_is_stored(folder: Path, source: Path) -> None:
    """Size and hash are those of the stored file, which is at its address."""
    store = FolderStore(folder)
    assert store.put("jobs/a/b.txt", source, "text/plain") == StoredObject(7, hashlib.sha256(b"content").hexdigest())
    assert Path(store.address("jobs/a/b.txt")).read_bytes() == b"content"


def test_put_replaces_an_existing_object(folder: Path, source: Path) -> None:
    """A second upload to the same key replaces the first."""
    store = FolderStore(folder)
    store.put("a.txt", source, "text/plain")
    source.write_bytes(b"new")
    assert store.put("a.txt", source, "text/plain").size_bytes == 3
    assert Path(store.address("a.txt")).read_bytes() == b"new"


def test_a_failed_put_keeps_the_old_object(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, the old object is kept, no partial file remains, and the error has the reason."""
    store = FolderStore(folder)
    store.put("a.txt", source, "text/plain")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    source.write_bytes(b"new")
    with pytest.raises(ArtifactStoreError, match="No space left on device"):
        store.put("a.txt", source, "text/plain")
    assert Path(store.address("a.txt")).read_bytes() == b"content"
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, ArtifactStoreUnavailable) for code in (ENOSPC, EDQUOT, EROFS, EIO, EACCES, ESTALE, ENXIO, ENOTCONN)),
        *((code, ArtifactRejected) for code in (EFBIG, ENAMETOOLONG)),
    ],
)
def test_the_class_of_the_error_says_whether_to_wait(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """A full disk, a read-only or missing mount may recover; a file beyond the file system's limits never will."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ArtifactStoreError, match="cannot be written to") as raised:
        FolderStore(folder).put("jobs/a.txt", source, "text/plain")
    assert type(raised.value) is kind
    assert list(folder.rglob("*.part")) == []


def test_a_missing_object_is_distinguished_from_an_unreadable_store(folder: Path, source: Path) -> None:
    """A missing object is lost; a store may become readable again."""
    store = FolderStore(folder)
    with pytest.raises(ArtifactNotFound):
        store.open("jobs/a.txt")
    (folder / "jobs" / "a.txt").mkdir(parents=True)
    with pytest.raises(ArtifactStoreUnavailable, match="Is a directory"):
        store.open("jobs/a.txt")


def test_delete_removes_empty_folders(folder: Path, source: Path) -> None:
    """Empty parents are removed up to the store's folder; a folder with another object is kept."""
    store = FolderStore(folder)
    for key in ("jobs/a/1.txt", "jobs/b/2.txt"):
        store.put(key, source, "text/plain")
    store.delete("jobs/a/1.txt")
    assert [path.name for path in (folder / "jobs").iterdir()] == ["b"]
    store.delete("jobs/b/2.txt")
    assert list(folder.iterdir()) == []


def test_delete_never_removes_the_folder_itself(folder: Path, source: Path, tmp_path: Path) -> None:
    """This holds if the folder is a link to another path too."""
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    store = FolderStore(folder)
    store.put("jobs/a.txt", source, "text/plain")
    store.delete("jobs/a.txt")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_delete_ignores_a_missing_object(folder: Path) -> None:
    """A sweeper may delete an object twice."""
    FolderStore(folder).delete("jobs/a/1.txt")
    assert not folder.exists()


@pytest.mark.parametrize("key", ["../x.txt", "jobs/../../x.txt", "/etc/x.txt", "a/../../artifacts-2/x.txt"])
def test_a_key_cannot_lead_out_of_the_folder(folder: Path, source: Path, key: str) -> None:
    """No operation accesses a path outside the folder."""
    store = FolderStore(folder)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.put(key, source, "text/plain")
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.delete(key)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.address(key)


def test_a_link_cannot_lead_out_of_the_folder(folder: Path, source: Path, tmp_path: Path) -> None:
    """A symbolic link inside the folder does not extend it."""
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        FolderStore(folder).put("link/x.txt", source, "text/plain")


def test_an_unwritable_store_is_reported(tmp_path: Path, source: Path) -> None:
    """There is a file in place of the folder: the message has the path and the system's reason."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ArtifactStoreError, match=r"cannot be written to .*taken"):
        FolderStore(tmp_path / "taken").put("jobs/a.txt", source, "text/plain")


def test_concurrent_puts_and_deletes_succeed(folder: Path, source: Path) -> None:
    """While a sweeper removes empty folders, uploads into the same folders succeed."""
    store = FolderStore(folder)

    def come_and_go(name: int) -> None:
        for _ in range(150):
            store.put(f"jobs/a/{name}/x.txt", source, "text/plain")
            store.delete(f"jobs/a/{name}/x.txt")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(come_and_go, range(4)))
    assert list(folder.iterdir()) == []
