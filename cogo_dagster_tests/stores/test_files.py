"""What may become an artifact: whatever an executor returns, the answer is an upload or a sentence, never a wait."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cogo_dagster.queue.artifacts import ArtifactRejected, ArtifactStoreError, FolderStore, upload_artifacts
from cogo_dagster.queue.artifacts.files import checked_artifacts, measured
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster_tests.queue.steps import running_job


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a small file."""
    path = tmp_path / "work" / "note.txt"
    path.parent.mkdir()
    path.write_text("hello")
    return path


def artifact(path: Any, name: Any = "note.txt", content_type: Any = "text/plain", cache_key: Any = None) -> Any:
    """Return what an executor's author may have written."""
    return ArtifactFile(name, content_type, path, cache_key)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "a list of ArtifactFile, not NoneType"),
        ("note.txt", "a list of ArtifactFile, not str"),
        (7, "a list of ArtifactFile, not int"),
        ([None], "must be an ArtifactFile, not NoneType"),
        (["note.txt"], "must be an ArtifactFile, not str"),
        ([Path("note.txt")], "must be an ArtifactFile, not PosixPath"),
        ([artifact("text/plain", content_type=Path("swapped"))], "needs a MIME type"),
        ([artifact("note.txt")], "must be a pathlib.Path, not str"),
        ([artifact(None)], "must be a pathlib.Path, not NoneType"),
        ([artifact(Path("a\0b"))], "unusable path"),
        ([artifact(Path("a\ud800b"))], "unusable path"),
        ([artifact(Path("x" * 300))], "cannot be read: File name too long"),
        ([artifact(Path("note.txt"), name="")], "1 to 255 characters"),
        ([artifact(Path("note.txt"), name="x" * 100_000)], "1 to 255 characters"),
        ([artifact(Path("note.txt"), name=None)], "1 to 255 characters"),
        ([artifact(Path("note.txt"), name=b"x")], "1 to 255 characters"),
        ([artifact(Path("note.txt"), name="../x")], "path separator"),
        ([artifact(Path("note.txt"), name="a\\b")], "path separator"),
        ([artifact(Path("note.txt"), name="..")], "path separator"),
        ([artifact(Path("note.txt"), name="a\tb")], "control character"),
        ([artifact(Path("note.txt"), name="a\x1b[31m")], "control character"),
        ([artifact(Path("note.txt"), content_type="")], "needs a MIME type"),
        ([artifact(Path("note.txt"), content_type=None)], "needs a MIME type"),
        ([artifact(Path("note.txt"), content_type="text/plain\r\nX-Evil: 1")], "needs a MIME type"),
        ([artifact(Path("note.txt"), content_type="텍스트")], "needs a MIME type"),
        ([artifact(Path("note.txt"), content_type="x" * 300)], "needs a MIME type"),
        ([artifact(Path("note.txt"), cache_key="x" * 201)], "cache key"),
        ([artifact(Path("note.txt"), cache_key=7)], "cache key"),
    ],
)
def test_what_is_no_artifact_is_rejected(queue: Queue, tmp_path: Path, given: Any, sentence: str) -> None:
    """With a sentence, before a row or an object of it is there."""
    store = FolderStore(tmp_path / "artifacts")
    with pytest.raises(ArtifactRejected, match=sentence):
        upload_artifacts(queue, store, running_job(queue), given)
    assert queue.list_artifacts() == []
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder"])
def test_what_is_no_regular_file_is_rejected_at_once(tmp_path: Path, kind: str) -> None:
    """Nobody writes into the FIFO: to wait for its writer would block a thread for ever."""
    path = tmp_path / "thing"
    server = socket.socket(socket.AF_UNIX)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "socket":
        server.bind(str(path))
    else:
        path.mkdir()
    with pytest.raises(ArtifactRejected, match=r"is a .*, not a regular file"):
        checked_artifacts([artifact(path)])
    server.close()


def test_a_link_out_of_the_workspace_is_rejected(file: Path, tmp_path: Path) -> None:
    """As the file itself, as a folder on the way to it, and written with `..`."""
    workspace = file.parent
    (tmp_path / "secret.txt").write_text("secret")
    (workspace / "link.txt").symlink_to(tmp_path / "secret.txt")
    (workspace / "up").symlink_to(tmp_path)
    for path in (workspace / "link.txt", workspace / "up" / "secret.txt", workspace / ".." / "secret.txt"):
        with pytest.raises(ArtifactRejected, match="leads out of"):
            checked_artifacts([artifact(path)], workspace)
    with pytest.raises(ArtifactRejected, match="leads out of"):
        checked_artifacts([artifact(workspace / "link.txt")])
    (workspace / "within.txt").symlink_to(file)
    [checked] = checked_artifacts([artifact(workspace / "within.txt")], workspace)
    assert checked.local.size_bytes == 5


def test_a_loop_of_links_is_rejected(file: Path) -> None:
    """It leads nowhere."""
    loop = file.parent / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ArtifactRejected):
        checked_artifacts([artifact(loop)])


@pytest.mark.parametrize("name", ["half \ud83d.txt", "zero \0.txt"])
def test_a_name_that_no_database_takes_is_made_storable(queue: Queue, file: Path, tmp_path: Path, name: str) -> None:
    """It is text from outside as any other."""
    store = FolderStore(tmp_path / "artifacts")
    [row] = upload_artifacts(queue, store, running_job(queue), [artifact(file, name=name)])
    assert row["name"] == queue.list_artifacts()[0].document["name"] == name[:5] + "\ufffd.txt"


def test_two_files_of_one_name_are_rejected(file: Path) -> None:
    """Before anything is uploaded."""
    with pytest.raises(ArtifactRejected, match="a name of its own"):
        checked_artifacts([artifact(file), artifact(file)])


def test_a_file_that_is_not_there_may_come_back(file: Path) -> None:
    """Its attempt failed, and another may write it."""
    file.unlink()
    with pytest.raises(ArtifactStoreError, match="No such file") as raised:
        checked_artifacts([artifact(file)])
    assert type(raised.value) is ArtifactStoreError


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.png", "png"),
        ("a.PNG", "png"),
        ("a", "bin"),
        ("a.tar-gz", "bin"),
        ("a.withaverylongextension", "bin"),
        ("a.그림", "bin"),
        ("a.", "bin"),
    ],
)
def test_any_extension_makes_a_key(file: Path, name: str, extension: str) -> None:
    """One that no key may have becomes `bin`."""
    path = file.rename(file.parent / name)
    [checked] = checked_artifacts([artifact(path)])
    assert checked.announcement["extension"] == extension


def test_what_is_appended_during_the_upload_is_left_out(file: Path) -> None:
    """The bytes are those that were measured; a file that became shorter is told."""
    local = measured(file)
    with file.open("a") as grown:
        grown.write(" and more")
    assert b"".join(local.chunks()) == b"hello"
    assert local.part(1, 100) == b"ello"
    file.write_text("he")
    with pytest.raises(ArtifactStoreError, match="became shorter"):
        b"".join(local.chunks())


def test_a_file_that_becomes_a_fifo_blocks_nobody(file: Path) -> None:
    """Between the check and the upload somebody may replace it."""
    local = measured(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ArtifactRejected, match="a FIFO"):
        b"".join(local.chunks())
