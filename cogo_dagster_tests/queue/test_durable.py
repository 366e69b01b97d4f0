"""Files that survive a power failure."""

import os
from pathlib import Path

import pytest

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.durable import write_private
from cogo_dagster.vault.key_ring import add_key


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, tuple[str, ...]]]:
    """Record the calls of fsync(2): whether it was of a folder, and which names the folder had then."""
    found: list[tuple[bool, tuple[str, ...]]] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        folder = path if path.is_dir() else path.parent
        found.append((path.is_dir(), tuple(sorted(file.name for file in folder.iterdir()))))
        real(descriptor)

    monkeypatch.setattr("os.fsync", record)
    return found


def test_the_name_of_a_private_file_is_synced(tmp_path: Path, synced: list[tuple[bool, tuple[str, ...]]]) -> None:
    """The content is synced before the file has its name, and the folder after it."""
    file = tmp_path / "keys"
    write_private(file, "one")
    assert synced == [(False, ("keys.new",)), (True, ("keys",))]
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("one", 0o600)


def test_the_name_of_an_artifact_is_synced(tmp_path: Path, synced: list[tuple[bool, tuple[str, ...]]]) -> None:
    """An artifact has its name on the disk before the database says that it is there."""
    source = tmp_path / "source.txt"
    source.write_text("content")
    FolderStore(tmp_path / "store").put("a.txt", source, "text/plain")
    assert synced[-1] == (True, ("a.txt",))


def test_the_name_of_a_key_file_is_synced(tmp_path: Path, synced: list[tuple[bool, tuple[str, ...]]]) -> None:
    """A vault key is on the disk before a secret is encrypted with it."""
    add_key(tmp_path / "keys")
    assert synced[-1] == (True, ("keys", "keys.lock"))


def test_a_file_that_cannot_be_written_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the old content stays, and the next attempt replaces it."""
    file = tmp_path / "keys"
    write_private(file, "one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_private(file, "two")
    assert file.read_text() == "one"
    write_private(file, "three")
    assert file.read_text() == "three"


def test_a_file_system_that_does_not_sync_folders_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems return EINVAL for fsync(2) of a folder."""
    real = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    write_private(tmp_path / "keys", "one")
    assert (tmp_path / "keys").read_text() == "one"
