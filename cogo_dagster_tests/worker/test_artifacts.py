"""The artifact protocol: after a failure between any two steps, every ready row has its object and vice versa."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pytest

from cogo_dagster.queue.artifacts import (
    ArtifactStoreError,
    FolderStore,
    StoredObject,
    store_artifacts,
    sweep_artifacts,
    sweep_unknown_objects,
    upload_artifacts,
)
from cogo_dagster.queue.artifacts import files as artifact_files
from cogo_dagster.queue.artifacts.files import LocalFile
from cogo_dagster.queue.artifacts.owner import MARKER_NAME
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import LeaseLost
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import EventKind
from cogo_dagster_tests.conftest import Age, Lose, Owner
from cogo_dagster_tests.queue.steps import add, look, running_job, settle, take
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate, a_file, leave_a_file
from cogo_dagster_tests.worker.faults import Watched


class Crash(BaseException):
    """Simulates the end of the process."""


class Crashing(FolderStore):
    """A store whose process crashes before or after an object is stored."""

    def __init__(self, folder: Path, *, before: bool) -> None:
        super().__init__(folder)
        self._before = before

    def put(self, storage_key: str, source: Path | LocalFile, content_type: str) -> StoredObject:
        """Crash."""
        if not self._before:
            super().put(storage_key, source, content_type)
        raise Crash


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Return a store in a folder, which tests can inspect and damage."""
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture
def files(tmp_path: Path) -> list[ArtifactFile]:
    """Return two files of an execution."""
    workspace = Workspace(tmp_path)
    return [a_file(workspace, "one.txt", "first"), a_file(workspace, "two.json", "{}")]


def objects(tmp_path: Path) -> list[Path]:
    """Return every file in the store except the owner marker."""
    folder = tmp_path / "artifacts"
    return [path for path in folder.rglob("*") if path.is_file() and path != folder / MARKER_NAME]


def test_a_ready_row_has_its_object(
    queue: Queue, store: FolderStore, tmp_path: Path, files: list[ArtifactFile]
) -> None:
    """After the protocol each file has a ready row with size and hash, and an object at the row's key."""
    job = running_job(queue)
    uploaded = upload_artifacts(queue, store, job, files)
    settle(queue, job)
    rows = look(queue, job)["artifacts"]
    assert [(row["name"], row["status"], row["size_bytes"]) for row in rows] == [
        ("one.txt", "ready", 5),
        ("two.json", "ready", 2),
    ]
    assert {Path(store.address(row["storage_key"])) for row in rows} == set(objects(tmp_path))
    assert [Path(row["address"]).read_text() for row in uploaded] == ["first", "{}"]
    assert all(row["storage_key"].startswith(f"jobs/{job.id}/{job.lease_token}/") for row in rows)


@pytest.mark.parametrize("point", ["after the row", "after the upload", "before ready"])
def test_a_crash_between_two_steps_leaves_no_files(
    transport: Transport, tmp_path: Path, files: list[ArtifactFile], owner: Owner, point: str
) -> None:
    """After recovery of the lease and the grace period, the sweeper has deleted row and object."""

    def crash(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "finish_artifacts" and point == "before ready":
            raise Crash

    queue, store = Queue(transport), FolderStore(tmp_path / "artifacts")
    broken = store if point == "before ready" else Crashing(tmp_path / "artifacts", before=point == "after the row")
    job = running_job(queue)
    with pytest.raises(Crash):
        upload_artifacts(Queue(Watched(transport, crash)), broken, job, files)
    assert {row.document["status"] for row in queue.list_artifacts()} == {"pending"}
    assert len(objects(tmp_path)) == {"after the row": 0, "after the upload": 1, "before ready": 2}[point]
    assert sweep_artifacts(queue, store, grace_seconds=0) == 0, "The attempt still runs."

    _lose_lease(queue, owner)
    assert sweep_artifacts(queue, store) == 2
    assert queue.list_artifacts() == []
    assert objects(tmp_path) == []


def test_a_crash_between_ready_and_the_settlement_leaves_no_files(
    queue: Queue, store: FolderStore, tmp_path: Path, files: list[ArtifactFile], owner: Owner
) -> None:
    """Ready artifacts of an attempt that was not settled are deleted."""
    upload_artifacts(queue, store, running_job(queue), files)
    assert {row.document["status"] for row in queue.list_artifacts()} == {"ready"}
    _lose_lease(queue, owner)
    assert sweep_artifacts(queue, store) == 2
    assert (queue.list_artifacts(), objects(tmp_path)) == ([], [])


def test_a_sweep_interrupted_between_object_and_row_is_completed_by_the_next(
    transport: Transport, store: FolderStore, tmp_path: Path, files: list[ArtifactFile], owner: Owner
) -> None:
    """The object is deleted and its row is not: the next sweep deletes the row."""

    def crash(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "delete_artifacts":
            raise Crash

    queue = Queue(transport)
    upload_artifacts(queue, store, running_job(queue), files)
    _lose_lease(queue, owner)
    with pytest.raises(Crash):
        sweep_artifacts(Queue(Watched(transport, crash)), store)
    assert (len(queue.list_artifacts()), objects(tmp_path)) == (2, [])
    assert sweep_artifacts(queue, store) == 2
    assert queue.list_artifacts() == []


def _lose_lease(queue: Queue, owner: Owner) -> None:
    """Expire and recover every lease, and let the grace period of all artifacts pass."""
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 hour'")
    assert queue.recover().requeued == 1
    owner.execute("update public.artifacts set created_at = created_at - interval '1 hour'")


def test_artifacts_of_a_late_worker_are_rejected_and_deleted(
    bench: Bench, queue: Queue, tmp_path: Path, lose: Lose
) -> None:
    """A worker that lost its lease before the upload leaves no object, and the new owner's file is kept."""
    job, gate = add(queue), Gate()

    async def slow(job: Job, workspace: Workspace) -> ExecutionResult:
        await gate(job, workspace)
        return ExecutionResult(artifacts=[a_file(workspace, text="too late")])

    with bench.running(FakeExecutor(slow), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        lose(job)
        [taken] = take(queue, 1)
        mine = a_file(Workspace(tmp_path), text="in time")
        upload_artifacts(queue, bench.store, taken, [mine])
        gate.open()
        report = running.report()
        assert report.counters["lease_lost"] == 1
        assert len(running.events_of(EventKind.LEASE_LOST)) == 1
    settle(queue, taken)
    assert [path.read_text() for path in objects(tmp_path)] == ["in time"]
    assert [row["size_bytes"] for row in look(queue, job)["artifacts"]] == [7]


def test_a_lease_lost_during_the_upload_leaves_no_object(
    transport: Transport, store: FolderStore, tmp_path: Path, files: list[ArtifactFile], age: Age
) -> None:
    """If the lease is lost after the objects are stored, they are deleted."""
    queue = Queue(transport)
    job = running_job(queue)

    def lose(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "finish_artifacts":
            age(job, 3600)
            assert queue.recover().requeued == 1

    with pytest.raises(LeaseLost):
        upload_artifacts(Queue(Watched(transport, lose)), store, job, files)
    assert objects(tmp_path) == []
    assert {row.document["status"] for row in queue.list_artifacts()} == {"orphaned"}


def test_small_files_are_recorded_by_the_settlement(bench: Bench, transport: Transport) -> None:
    """A job with a file takes one call after its execution, and the file is read once."""
    watched, opened = Watched(transport), artifact_files._opened
    job, reads = add(Queue(transport)), 0

    def counted(path: Path) -> BinaryIO:
        nonlocal reads
        reads += 1
        return opened(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact_files, "_opened", counted)
        with bench.running(FakeExecutor(leave_a_file), queue=Queue(watched), max_jobs=1) as running:
            running.report()
    assert [name for name in watched.calls if "artifact" in name or name in ("succeed_jobs", "settle_jobs")] == [
        "settle_with_artifacts"
    ]
    assert reads == 1
    [row] = look(bench.queue, job)["artifacts"]
    [uploaded] = running.events_of(EventKind.UPLOADED)
    assert [reported["artifact_id"] for reported in uploaded.data["artifacts"]] == [row["id"]]
    with bench.store.open(row["storage_key"]) as stored:
        assert len(stored.read()) == row["size_bytes"]


def test_large_files_have_rows_before_they_are_stored(
    bench: Bench, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not kept in memory; a crash leaves pending rows, by which the next sweep finds them."""
    monkeypatch.setattr(artifact_files, "MAX_KEPT_BYTES", 3)
    watched, job = Watched(transport), add(Queue(transport))
    bench.drain(FakeExecutor(leave_a_file), queue=Queue(watched))
    assert {"create_artifacts", "finish_artifacts", "succeed_jobs"} <= set(watched.calls)
    assert [row["status"] for row in look(bench.queue, job)["artifacts"]] == ["ready"]


def test_a_crash_between_the_upload_and_the_settlement_leaves_no_files(
    queue: Queue, store: FolderStore, tmp_path: Path, files: list[ArtifactFile], owner: Owner
) -> None:
    """While the attempt can still be settled its objects are kept; after the loss of its lease they are deleted."""
    assert len(store_artifacts(queue, store, running_job(queue), files).to_record) == 2
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 hour'")
    assert sweep_unknown_objects(queue, store, grace_seconds=-1) == 0
    assert len(objects(tmp_path)) == 2
    assert queue.recover().requeued == 1
    assert sweep_unknown_objects(queue, store, grace_seconds=-1) == 2
    assert (queue.list_artifacts(), objects(tmp_path)) == ([], [])


def test_files_are_deleted_if_the_lease_is_lost_before_the_settlement(
    bench: Bench, queue: Queue, transport: Transport, tmp_path: Path, lose: Lose
) -> None:
    """The settlement is rejected: no row, no object."""
    job = add(queue)

    def late(function: str, arguments: Mapping[str, Json]) -> None:
        if function == "settle_with_artifacts":
            lose(job)

    with bench.running(FakeExecutor(leave_a_file), queue=Queue(Watched(transport, late)), max_jobs=1) as running:
        report = running.report()
    assert report.counters["lease_lost"] == 1
    assert (queue.list_artifacts(), objects(tmp_path)) == ([], [])


def test_finished_attempts_wait_while_the_store_is_unavailable(
    bench: Bench, queue: Queue, transport: Transport, tmp_path: Path
) -> None:
    """No job is claimed in the meantime; when the store is available, artifacts are uploaded without a second run."""
    obstacle = tmp_path / "artifacts"
    obstacle.write_text("a file where the folder should be")
    jobs, executor, watched = [add(queue)], FakeExecutor(leave_a_file), Watched(transport)
    with bench.running(executor, queue=Queue(watched), linger_seconds=0) as running:
        eventually(lambda: running.events_of(EventKind.WARNING), "the worker noticed")
        assert str(obstacle) in running.events_of(EventKind.WARNING)[0].message
        eventually(lambda: not any(name.startswith("claim") for name in watched.in_progress), "claims have returned")
        jobs.append(add(queue))
        assert (queue.stats().document["running"], len(executor.ran)) == (1, 1)
        obstacle.unlink()
        report = running.report()
    assert {(row.document["status"], row.document["attempts"]) for row in queue.get_jobs(jobs)} == {("succeeded", 1)}
    assert (len(executor.ran), report.counters["succeeded"]) == (2, 2)


def test_an_attempt_that_cannot_be_uploaded_in_time_is_snoozed(bench: Bench, queue: Queue, tmp_path: Path) -> None:
    """If the store stays unavailable for too long, the job is snoozed and the attempt not counted."""
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    job = add(queue)
    with bench.running(FakeExecutor(leave_a_file), store_wait_seconds=0.1) as running:
        eventually(lambda: running.events_of(EventKind.SETTLED), "the job was settled")
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["error"]["class"]) == ("queued", 0, "store_unavailable")
    assert row["next_run_at"] > row["claimed_at"]


def test_a_family_without_artifacts_is_claimed_while_the_store_is_unavailable(
    bench: Bench, queue: Queue, tmp_path: Path
) -> None:
    """Only jobs that may produce artifacts wait for the store."""
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    held, plain = FakeExecutor(leave_a_file), FakeExecutor(family="plain")
    plain.makes_artifacts = False
    first = add(queue)
    with bench.running(held, plain, concurrency=2) as running:
        eventually(lambda: running.events_of(EventKind.WARNING), "the worker noticed")
        second, other = add(queue, "plain"), add(queue)
        eventually(lambda: look(queue, second)["status"] == "succeeded", "the plain job ran")
        assert [look(queue, job)["status"] for job in (first, other)] == ["running", "queued"]


def test_an_attempt_that_waits_for_the_store_is_requeued_at_a_stop(bench: Bench, queue: Queue, tmp_path: Path) -> None:
    """A worker that is stopped while the store is unavailable does not count the attempt."""
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    job = add(queue)
    with bench.running(FakeExecutor(leave_a_file)) as running:
        eventually(lambda: running.events_of(EventKind.WARNING), "the worker noticed")
        running.worker.request_stop(0)
        running.report(seconds=12)
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["lease_expires_at"]) == ("queued", 0, None)


def test_a_failure_without_its_artifacts_keeps_its_error(bench: Bench, queue: Queue, tmp_path: Path) -> None:
    """If the trace of a failed attempt cannot be stored, the error is still that of the attempt."""
    (tmp_path / "artifacts").write_text("a file where the folder should be")

    async def fail(job: Job, workspace: Workspace) -> ExecutionResult:
        raise ExecutionFailed("Gone.", error_class="http_status", retryable=False, artifacts=[a_file(workspace)])

    job = add(queue)
    with bench.running(FakeExecutor(fail), store_wait_seconds=0.1) as running:
        eventually(lambda: running.events_of(EventKind.SETTLED), "the job was settled")
    assert (look(queue, job)["status"], look(queue, job)["error"]["class"]) == ("failed", "http_status")


def test_a_missing_artifact_file_is_a_retryable_failure(bench: Bench, queue: Queue) -> None:
    """An executor that returns a file it did not write fails its attempt and not the worker."""

    async def forget(job: Job, workspace: Workspace) -> ExecutionResult:
        return ExecutionResult(artifacts=[ArtifactFile("a.txt", "text/plain", workspace.folder / "a.txt")])

    job = add(queue)
    bench.drain(FakeExecutor(forget))
    assert (look(queue, job)["status"], look(queue, job)["error"]["class"]) == ("queued", "artifact_upload")


def test_the_workspace_is_removed(bench: Bench, queue: Queue) -> None:
    """The execution's folder is removed after the upload, and after a failure too."""
    folders: list[Path] = []

    async def leave(job: Job, workspace: Workspace) -> ExecutionResult:
        folders.append(workspace.folder)
        if job.payload:
            raise RuntimeError
        return await leave_a_file(job, workspace)

    add(queue)
    add(queue, payload={"fail": True})
    bench.drain(FakeExecutor(leave))
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)


def test_different_bytes_in_the_store_are_detected(
    queue: Queue, store: FolderStore, tmp_path: Path, files: list[ArtifactFile]
) -> None:
    """If size or hash differ after the upload, the row does not become ready."""

    class Rotten(FolderStore):
        def put(self, storage_key: str, source: Path | LocalFile, content_type: str) -> StoredObject:
            super().put(storage_key, source, content_type)
            Path(self.address(storage_key)).write_text("rotten")
            return StoredObject(6, "0" * 64)

    job = running_job(queue)
    with pytest.raises(ArtifactStoreError, match="other bytes"):
        upload_artifacts(queue, Rotten(tmp_path / "artifacts"), job, files)
    assert {row.document["status"] for row in queue.list_artifacts()} == {"pending"}
    shutil.rmtree(tmp_path / "artifacts")
    assert len(upload_artifacts(queue, store, job, files)) == 2
    assert {row.document["status"] for row in queue.list_artifacts()} == {"ready"}
