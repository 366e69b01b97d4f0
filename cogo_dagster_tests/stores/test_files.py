"""Validation of artifacts: anything that an executor returns is uploaded or rejected, and never blocks."""

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
    """Return an artifact that may be invalid."""
    return ArtifactFile(name, content_type, path, cache_key)


def test_content_needs_no_file(queue: Queue, tmp_path: Path) -> None:
    """Bytes that an executor returns are uploaded without a file, with the extension of the path."""
    store = FolderStore(tmp_path / "store")
    made = ArtifactFile("note", "text/plain", Path("missing.txt"), content=b"hello")
    [row] = upload_artifacts(queue, store, running_job(queue), [made])
    assert (row["size_bytes"], row["extension"]) == (5, "txt")
    assert Path(row["address"]).read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("given", "message"),
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
        ([ArtifactFile("note.txt", "text/plain", Path("note.txt"), content="x")], "must be bytes, not str"),  # type: ignore[arg-type]
        ([artifact(Path("note.txt"), cache_key=7)], "cache key"),
    ],
)
def test_invalid_artifacts_are_rejected(queue: Queue, tmp_path: Path, given: Any, message: str) -> None:
    """The error says what is wrong, and no row or object was created."""
    store = FolderStore(tmp_path / "artifacts")
    with pytest.raises(ArtifactRejected, match=message):
        upload_artifacts(queue, store, running_job(queue), given)
    assert queue.list_artifacts() == []
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder"])
def test_other_kinds_of_files_are_rejected_at_once(tmp_path: Path, kind: str) -> None:
    """Opening a FIFO without a writer would block a thread forever."""
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


def test_a_link_that_leaves_the_workspace_is_rejected(file: Path, tmp_path: Path) -> None:
    """The link may be the file, a folder in its path, or `..`."""
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
    """A link that refers to itself is rejected."""
    loop = file.parent / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ArtifactRejected):
        checked_artifacts([artifact(loop)])


@pytest.mark.parametrize("name", ["half \ud83d.txt", "zero \0.txt"])
def test_invalid_characters_in_a_name_are_replaced(queue: Queue, file: Path, tmp_path: Path, name: str) -> None:
    """Lone surrogates and U+0000 become U+FFFD."""
    store = FolderStore(tmp_path / "artifacts")
    [row] = upload_artifacts(queue, store, running_job(queue), [artifact(file, name=name)])
    assert row["name"] == queue.list_artifacts()[0].document["name"] == name[:5] + "\ufffd.txt"


def test_two_files_of_one_name_are_rejected(file: Path) -> None:
    """Names must be unique, which is checked before the upload."""
    with pytest.raises(ArtifactRejected, match="a unique name"):
        checked_artifacts([artifact(file), artifact(file)])


def test_a_missing_file_is_a_retryable_error(file: Path) -> None:
    """The error is not ArtifactRejected, since another attempt may write the file."""
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
def test_extensions_are_normalized(file: Path, name: str, extension: str) -> None:
    """An extension that is not allowed in a key becomes `bin`."""
    path = file.rename(file.parent / name)
    [checked] = checked_artifacts([artifact(path)])
    assert checked.announcement["extension"] == extension


def test_bytes_appended_during_the_upload_are_left_out(file: Path) -> None:
    """The bytes that were measured are uploaded; a file that became shorter is an error."""
    local = measured(file)
    with file.open("a") as grown:
        grown.write(" and more")
    assert b"".join(local.chunks()) == b"hello"
    assert local.part(1, 100) == b"ello"
    file.write_text("he")
    with pytest.raises(ArtifactStoreError, match="became shorter"):
        b"".join(local.chunks())


def test_a_file_that_becomes_a_fifo_is_rejected(file: Path) -> None:
    """A file that is replaced between the check and the upload does not block."""
    local = measured(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ArtifactRejected, match="a FIFO"):
        b"".join(local.chunks())


@pytest.mark.parametrize("key", ["x" * 300, "x" * 200_000, "reports/" + "x/" * 5_000])
def test_a_key_that_no_file_can_have_has_an_address(tmp_path: Path, key: str) -> None:
    """A row with such a key is listed as one whose file does not exist."""
    store = FolderStore(tmp_path)
    assert store.address(key) == f"{tmp_path}/{key.removesuffix('/')}"
    with pytest.raises(ArtifactStoreError, match="cannot be read"):
        store.open(key)
