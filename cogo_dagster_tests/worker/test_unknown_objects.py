"""Objects without a row: what an uploader leaves that dies after its row was swept."""

import os
import time
from pathlib import Path

from cogo_dagster.queue.artifacts import FolderStore, sweep_unknown_objects, upload_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import ArtifactFile
from cogo_dagster_tests.queue.steps import running_job

HOUR_SECONDS = 3_600


def test_only_old_objects_without_a_row_are_swept(queue: Queue, tmp_path: Path) -> None:
    """A forgotten object and the part of a cut-off upload go; a ready artifact and a fresh object stay."""
    folder, file = tmp_path / "store", tmp_path / "page.html"
    file.write_text("kept")
    store = FolderStore(folder)
    job = running_job(queue, "browser")
    kept = upload_artifacts(queue, store, job, [ArtifactFile("page.html", "text/html", file)])[0]["storage_key"]
    for key in ("jobs/gone/token/a.png", "jobs/gone/token/.b.part", "jobs/new/token/c.png"):
        store.put(key, file, "image/png")
    two_hours_ago = time.time() - 2 * HOUR_SECONDS
    for key in (kept, "jobs/gone/token/a.png", "jobs/gone/token/.b.part"):
        os.utime(folder / key, (two_hours_ago, two_hours_ago))

    assert sweep_unknown_objects(queue, store, HOUR_SECONDS) == 2
    assert sorted(store.keys(0)) == sorted([kept, "jobs/new/token/c.png"])
    assert not (folder / "jobs" / "gone").exists()


def test_an_empty_store_is_swept_too(queue: Queue, tmp_path: Path) -> None:
    """A worker that never stored anything has no folder yet."""
    assert sweep_unknown_objects(queue, FolderStore(tmp_path / "nothing")) == 0
