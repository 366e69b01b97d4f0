"""Artifacts as files: whole or not at all, below their folder, and tidy."""

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
    """A file to store."""
    path = tmp_path / "source.txt"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store keeps its files."""
    return tmp_path / "artifacts"


def test_put_tells_what_is_stored(folder: Path, source: Path) -> None:
    """The answer is measured on the stored file, which is at its address."""
    store = FolderStore(folder)
    assert store.put("jobs/a/b.txt", source, "text/plain") == StoredObject(7, hashlib.sha256(b"content").hexdigest())
    assert Path(store.address("jobs/a/b.txt")).read_bytes() == b"content"


def test_put_replaces_what_was_there(folder: Path, source: Path) -> None:
    """A second upload to the same key wins."""
    store = FolderStore(folder)
    store.put("a.txt", source, "text/plain")
    source.write_bytes(b"new")
    assert store.put("a.txt", source, "text/plain").size_bytes == 3
    assert Path(store.address("a.txt")).read_bytes() == b"new"


def test_a_broken_put_leaves_what_was_there(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in mid-copy, the old object stays, no part of the new one does, and the error says why."""
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
def test_the_systems_error_says_whether_to_wait(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """A full disk, a read-only or missing mount may come back; what the file system cannot hold never will."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ArtifactStoreError, match="cannot be written to") as raised:
        FolderStore(folder).put("jobs/a.txt", source, "text/plain")
    assert type(raised.value) is kind
    assert list(folder.rglob("*.part")) == []


def test_an_object_that_is_not_there_is_told_from_a_store_that_cannot_be_read(folder: Path, source: Path) -> None:
    """The one is lost, the other may come back."""
    store = FolderStore(folder)
    with pytest.raises(ArtifactNotFound):
        store.open("jobs/a.txt")
    (folder / "jobs" / "a.txt").mkdir(parents=True)
    with pytest.raises(ArtifactStoreUnavailable, match="Is a directory"):
        store.open("jobs/a.txt")


def test_delete_tidies_the_folders_it_empties(folder: Path, source: Path) -> None:
    """Empty folders go up to the store's own; a folder with another object stays."""
    store = FolderStore(folder)
    for key in ("jobs/a/1.txt", "jobs/b/2.txt"):
        store.put(key, source, "text/plain")
    store.delete("jobs/a/1.txt")
    assert [path.name for path in (folder / "jobs").iterdir()] == ["b"]
    store.delete("jobs/b/2.txt")
    assert list(folder.iterdir()) == []


def test_delete_never_removes_the_folder_itself(folder: Path, source: Path, tmp_path: Path) -> None:
    """Also when the folder is a link to another place, which is known by another name."""
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    store = FolderStore(folder)
    store.put("jobs/a.txt", source, "text/plain")
    store.delete("jobs/a.txt")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_delete_of_nothing_is_no_error(folder: Path) -> None:
    """A sweeper may be told twice to delete an object."""
    FolderStore(folder).delete("jobs/a/1.txt")
    assert not folder.exists()


@pytest.mark.parametrize("key", ["../x.txt", "jobs/../../x.txt", "/etc/x.txt", "a/../../artifacts-2/x.txt"])
def test_a_key_cannot_lead_out_of_the_folder(folder: Path, source: Path, key: str) -> None:
    """No operation touches a path outside the folder."""
    store = FolderStore(folder)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.put(key, source, "text/plain")
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.delete(key)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        store.address(key)


def test_a_link_cannot_lead_out_of_the_folder(folder: Path, source: Path, tmp_path: Path) -> None:
    """A symbolic link inside the folder does not widen it."""
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ArtifactStoreError, match="leads out"):
        FolderStore(folder).put("link/x.txt", source, "text/plain")


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path, source: Path) -> None:
    """A file where the folder should be: the message names the place and the system's reason."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ArtifactStoreError, match=r"cannot be written to .*taken"):
        FolderStore(tmp_path / "taken").put("jobs/a.txt", source, "text/plain")


def test_storing_and_tidying_do_not_disturb_one_another(folder: Path, source: Path) -> None:
    """While a sweeper removes emptied folders, uploads into the same folders succeed."""
    store = FolderStore(folder)

    def come_and_go(name: int) -> None:
        for _ in range(150):
            store.put(f"jobs/a/{name}/x.txt", source, "text/plain")
            store.delete(f"jobs/a/{name}/x.txt")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(come_and_go, range(4)))
    assert list(folder.iterdir()) == []
