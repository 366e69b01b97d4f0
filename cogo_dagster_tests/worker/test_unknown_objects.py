"""Objects without a row, left by an upload that was interrupted after its row was swept."""

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.artifacts import FolderStore, sweep_unknown_objects, upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster_tests.queue.steps import running_job

HOUR_SECONDS = 3_600


def a_key(name: str) -> str:
    """Return a key of an unknown attempt."""
    return f"jobs/{uuid4()}/{uuid4()}/{name}"


def test_only_old_objects_without_a_row_are_swept(queue: Queue, tmp_path: Path) -> None:
    """An old unknown object and a partial upload are deleted; a ready artifact and a recent object are kept."""
    folder, file = tmp_path / "store", tmp_path / "page.html"
    file.write_text("kept")
    store = FolderStore(folder)
    job = running_job(queue, "browser")
    kept = upload_artifacts(queue, store, job, [ArtifactFile("page.html", "text/html", file)])[0]["storage_key"]
    forgotten, part, fresh = a_key(f"{'a' * 64}.png"), a_key(f".{uuid4().hex}.part"), a_key(f"{'c' * 64}.png")
    numbered = f"reports/{'b' * 64}.2.png"
    for key in (forgotten, part, fresh, numbered):
        store.put(key, file, "image/png")
    two_hours_ago = time.time() - 2 * HOUR_SECONDS
    for key in (kept, forgotten, part, numbered):
        os.utime(folder / key, (two_hours_ago, two_hours_ago))

    assert sweep_unknown_objects(queue, store, HOUR_SECONDS) == 3
    assert sorted(store.keys(0)) == sorted([kept, fresh])
    assert not (folder / forgotten).parent.parent.exists()


@pytest.mark.parametrize("name", ["notes.txt", "jobs/mine/photo.png", "reports/summary.pdf", ".backup/x.tar"])
def test_other_files_are_kept(queue: Queue, tmp_path: Path, name: str) -> None:
    """Files without a generated key are not ours to delete."""
    file = tmp_path / "store" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    os.utime(file, (0, 0))
    assert sweep_unknown_objects(queue, FolderStore(tmp_path / "store")) == 0
    assert file.read_text() == "mine"


def test_an_empty_store_can_be_swept(queue: Queue, tmp_path: Path) -> None:
    """A worker that never stored an artifact has no folder yet."""
    assert sweep_unknown_objects(queue, FolderStore(tmp_path / "nothing")) == 0


def test_a_walk_resumes_where_the_previous_one_ran_out_of_time(queue: Queue, tmp_path: Path) -> None:
    """All objects are checked in the end, however short the time limit."""
    file = tmp_path / "page.html"
    file.write_text("kept")
    store = FolderStore(tmp_path / "store")
    sweep_unknown_objects(queue, store)
    for number in range(1_200):
        key = f"reports/{number:064x}.txt"
        path = tmp_path / "store" / key
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    assert [sweep_unknown_objects(queue, store, max_seconds=0) for _ in range(4)] == [500, 500, 200, 0]
