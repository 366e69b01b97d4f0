"""Artifacts: only the holder of a lease creates them, and ready ones are never swept."""

from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, LeaseLost
from cogo_dagster.queue.model import Job, JobError, Json, Outcome, Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, documents, look, running_job, settle, take_one

SHA256 = "a" * 64
PAGE: dict[str, Json] = {
    "name": "page.html",
    "content_type": "text/html",
    "size_bytes": 3,
    "sha256": SHA256,
    "extension": "html",
}
SHOT: dict[str, Json] = {
    **PAGE,
    "name": "shot.png",
    "content_type": "image/png",
    "sha256": "b" * 64,
    "extension": "png",
}


def test_a_created_artifact_is_pending_at_a_generated_key(queue: Queue) -> None:
    """The key contains job, lease and content; results are in the given order; pending artifacts are not listed."""
    job = running_job(queue)
    shot, page = queue.create_artifacts(job, [SHOT, PAGE])
    assert shot.storage_key == f"jobs/{job.id}/{job.lease_token}/{'b' * 64}.png"
    assert page.storage_key == f"jobs/{job.id}/{job.lease_token}/{SHA256}.html"
    assert look(queue, job)["artifacts"] == []
    assert {row.document["status"] for row in queue.list_artifacts(job_id=job.id)} == {"pending"}


def test_a_finished_artifact_is_ready_with_its_metadata(queue: Queue) -> None:
    """A ready artifact is listed with its job."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    [row] = look(queue, job)["artifacts"]
    assert (row["name"], row["content_type"], row["size_bytes"], row["sha256"]) == ("page.html", "text/html", 3, SHA256)
    assert (row["status"], row["attempt"]) == ("ready", 1)
    assert row["ready_at"] is not None


def test_creating_artifacts_is_idempotent(queue: Queue) -> None:
    """A repeated call returns the same rows, and a ready one stays ready."""
    job = running_job(queue)
    first = queue.create_artifacts(job, [PAGE, SHOT])
    assert queue.create_artifacts(job, [PAGE, SHOT]) == first
    queue.finish_artifacts(job, [first[0].artifact_id])
    assert queue.create_artifacts(job, [PAGE, SHOT]) == first
    assert [row["name"] for row in look(queue, job)["artifacts"]] == ["page.html"]


def test_different_content_under_the_same_name_must_be_uploaded_again(queue: Queue) -> None:
    """The row becomes pending again, at another key."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    [row] = queue.create_artifacts(job, [{**PAGE, "sha256": "c" * 64}])
    assert row.storage_key.endswith(f"{'c' * 64}.html")
    assert look(queue, job)["artifacts"] == []


def test_finishing_artifacts_is_idempotent(queue: Queue) -> None:
    """A repeated call is accepted."""
    job = running_job(queue)
    [row] = queue.create_artifacts(job, [PAGE])
    for _ in range(2):
        queue.finish_artifacts(job, [row.artifact_id])
    assert len(look(queue, job)["artifacts"]) == 1


def test_artifacts_of_a_lost_lease_are_rejected(queue: Queue, age: Age) -> None:
    """A stale worker can neither create nor finish artifacts."""
    job = running_job(queue)
    [row] = queue.create_artifacts(job, [PAGE])
    age(job, 3600)
    queue.recover()
    take_one(queue)
    with pytest.raises(LeaseLost, match="its artifacts are not accepted"):
        queue.create_artifacts(job, [SHOT])
    with pytest.raises(LeaseLost, match="its artifacts are not accepted"):
        queue.finish_artifacts(job, [row.artifact_id])
    assert queue.list_artifacts(status="ready") == []


def test_an_upload_after_the_end_of_the_job_is_rejected(queue: Queue) -> None:
    """The job keeps the artifacts that were ready at its end."""
    job = running_job(queue)
    [row] = queue.create_artifacts(job, [PAGE])
    settle(queue, job)
    with pytest.raises(LeaseLost):
        queue.create_artifacts(job, [SHOT])
    with pytest.raises(LeaseLost):
        queue.finish_artifacts(job, [row.artifact_id])


def test_a_lease_cannot_finish_artifacts_of_another(queue: Queue) -> None:
    """The ID of an artifact of another lease is skipped."""
    mine, theirs = running_job(queue), running_job(queue)
    [row] = queue.create_artifacts(theirs, [PAGE])
    queue.finish_artifacts(mine, [row.artifact_id])
    assert queue.list_artifacts(status="ready") == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sha256": "A" * 64}, "sha256 must be 64 hexadecimal digits"),
        ({"sha256": None}, "sha256 must be 64 hexadecimal digits"),
        ({"extension": "../x"}, "The extension must be 1 to 10 lower-case letters or digits"),
        ({"extension": None}, "The extension must be 1 to 10 lower-case letters or digits"),
        ({"name": None}, "Each artifact needs a unique name"),
        ({"name": "shot.png"}, "Each artifact needs a unique name"),
        ({"name": ""}, "name of an artifact must have 1 to 255 characters"),
        ({"name": "x" * 256}, "name of an artifact must have 1 to 255 characters"),
        ({"content_type": "x" * 256}, "at most 255 characters"),
    ],
)
def test_an_invalid_artifact_is_rejected(queue: Queue, wrong: dict[str, Any], message: str) -> None:
    """Nothing of the batch is stored."""
    job = running_job(queue)
    with pytest.raises(InvalidArgument, match=message):
        queue.create_artifacts(job, [SHOT, PAGE | wrong])
    assert queue.list_artifacts() == []


def test_recovery_orphans_the_artifacts_of_the_lost_attempt(queue: Queue, age: Age) -> None:
    """Ready or not, they are not listed with the next attempt, and are swept."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    queue.create_artifacts(job, [SHOT])
    age(job, 3600)
    queue.recover()
    assert look(queue, job)["artifacts"] == []
    assert {row.document["status"] for row in queue.list_artifacts()} == {"orphaned"}
    assert len(queue.list_abandoned_artifacts(grace_seconds=0)) == 2


def test_requeuing_an_attempt_orphans_its_artifacts(queue: Queue) -> None:
    """If the worker stops between upload and settlement, the next attempt creates its own artifacts."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    queue.create_artifacts(job, [SHOT])
    settle(queue, job, Outcome.REQUEUED)
    assert {row.document["status"] for row in queue.list_artifacts()} == {"orphaned"}
    again = take_one(queue)
    _uploaded(queue, again, PAGE)
    settle(queue, again, Outcome.SUCCEEDED)
    assert [row["status"] for row in look(queue, job)["artifacts"]] == ["ready"]


def test_the_artifacts_of_a_failed_attempt_are_kept(queue: Queue) -> None:
    """Artifacts of a failure are listed with the job."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    assert len(look(queue, job)["artifacts"]) == 1
    assert queue.list_abandoned_artifacts(grace_seconds=0) == []


def test_an_upload_in_progress_is_not_abandoned(queue: Queue) -> None:
    """A pending artifact is not listed as abandoned while its lease is held."""
    job = running_job(queue)
    queue.create_artifacts(job, [PAGE])
    assert queue.list_abandoned_artifacts(grace_seconds=0) == []
    settle(queue, job)
    assert [row.document["storage_key"][-5:] for row in queue.list_abandoned_artifacts(grace_seconds=0)] == [".html"]


def test_an_artifact_is_abandoned_only_after_the_grace_period(queue: Queue, owner: Owner) -> None:
    """After the grace period the sweeper gets abandoned artifacts, oldest first and up to its limit."""
    job = running_job(queue)
    first, second = queue.create_artifacts(job, [PAGE, SHOT])
    settle(queue, job)
    assert queue.list_abandoned_artifacts(grace_seconds=300) == []
    for row, minutes in ((first, 10), (second, 20)):
        older = "update public.artifacts set created_at = now() - make_interval(mins => %s) where id = %s"
        owner.execute(older, (minutes, row.artifact_id))
    assert documents(queue.list_abandoned_artifacts(grace_seconds=300, max_artifacts=1)) == [second.to_json()]
    assert documents(queue.list_abandoned_artifacts(grace_seconds=300)) == [second.to_json(), first.to_json()]


def test_deleting_never_removes_a_ready_artifact(queue: Queue) -> None:
    """Only abandoned rows are deleted; a repeated call deletes nothing."""
    job = running_job(queue)
    ready, pending = queue.create_artifacts(job, [PAGE, SHOT])
    queue.finish_artifacts(job, [ready.artifact_id])
    settle(queue, job)
    ids = [ready.artifact_id, pending.artifact_id]
    assert [queue.delete_artifacts(ids) for _ in range(2)] == [1, 0]
    assert [row.document["id"] for row in queue.list_artifacts()] == [str(ready.artifact_id)]


def _uploaded(queue: Queue, job: Job, file: dict[str, Json]) -> None:
    [row] = queue.create_artifacts(job, [file])
    queue.finish_artifacts(job, [row.artifact_id])


def test_a_ready_artifact_is_found_by_its_cache_key(queue: Queue, transport: Transport) -> None:
    """The newest one is found; pending ones and other keys are not."""
    older, newer, unfinished = (running_job(queue) for _ in range(3))
    _uploaded(queue, older, {**PAGE, "cache_key": "home"})
    _uploaded(queue, newer, {**PAGE, "cache_key": "home"})
    _uploaded(queue, newer, {**SHOT, "cache_key": None})
    queue.create_artifacts(unfinished, [{**SHOT, "cache_key": "shot"}])
    found = transport.call("find_cached_artifacts", {"cache_keys": ["home", "shot", "none"]})
    assert {key: row["job_id"] for key, row in found.items()} == {"home": str(newer.id)}


@pytest.mark.parametrize("wrong", [None, "home", ["x"] * 1_001])
def test_the_number_of_cache_keys_is_limited(transport: Transport, wrong: Json) -> None:
    """Other arguments are rejected with a message."""
    with pytest.raises(InvalidArgument, match="at most 1,000 strings"):
        transport.call("find_cached_artifacts", {"cache_keys": wrong})


def test_two_files_of_one_content_are_deleted_independently(queue: Queue, owner: Owner) -> None:
    """While one of them is kept, only the other's row is deleted; once both are abandoned, the object is too."""
    job = running_job(queue)
    first, second = queue.create_artifacts(job, [PAGE, {**PAGE, "name": "copy.html"}])
    queue.finish_artifacts(job, [first.artifact_id, second.artifact_id])
    settle(queue, job)
    give_up = "update public.artifacts set status = %s where id = %s"
    owner.execute(give_up, ("orphaned", first.artifact_id))
    only_the_row = [{"artifact_id": str(first.artifact_id), "storage_key": None}]
    assert documents(queue.list_abandoned_artifacts(grace_seconds=0)) == only_the_row
    owner.execute(give_up, ("expired", second.artifact_id))  # its object is kept on purpose
    assert documents(queue.list_abandoned_artifacts(grace_seconds=0)) == only_the_row
    owner.execute(give_up, ("orphaned", second.artifact_id))
    both = queue.list_abandoned_artifacts(grace_seconds=0)
    assert {row.artifact_id for row in both} == {first.artifact_id, second.artifact_id}
    assert queue.delete_artifacts([first.artifact_id]) == 1
    assert documents(queue.list_abandoned_artifacts(grace_seconds=0)) == [second.to_json()]


def test_undeletable_objects_do_not_block_the_others(queue: Queue, transport: Transport) -> None:
    """A page begins after the last artifact that could not be deleted; an unknown one starts from the beginning."""
    job = running_job(queue)
    files = [{**PAGE, "name": f"{n}.html", "sha256": f"{n:064x}"} for n in range(7)]
    rows = queue.create_artifacts(job, files)
    settle(queue, job)

    def page(after_id: str | None) -> list[str]:
        asked: Json = {"grace_seconds": 0, "max_artifacts": 3, "after_id": after_id}
        return [row["artifact_id"] for row in transport.call("list_abandoned_artifacts", asked)]

    seen: list[str] = []
    while found := page(seen[-1] if seen else None):
        seen += found
    assert sorted(seen) == sorted(str(row.artifact_id) for row in rows)
    first = page(None)
    queue.delete_artifacts(first[-1:])
    assert page(first[-1])[:2] == first[:2]


def _settled_with(queue: Queue, job: Job, *files: dict[str, Json], outcome: Outcome = Outcome.SUCCEEDED) -> str:
    """Settle an attempt whose files are stored; return the status."""
    error = JobError("broken", "It is broken.") if outcome is Outcome.FAILED else None
    [settled] = queue.settle([Settlement(job, outcome, error=error, stored=files)])
    return settled.status


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.SUCCEEDED, "succeeded"), (Outcome.FAILED, "queued"), (Outcome.CANCELLED, "cancelled")],
)
def test_a_settlement_records_stored_files(queue: Queue, outcome: Outcome, status: str) -> None:
    """The job and its ready files appear in one call; a repeated call changes nothing."""
    job = running_job(queue)
    for _ in range(2):
        assert _settled_with(queue, job, PAGE, SHOT, outcome=outcome) == "ok"
        found = look(queue, job)
        assert found["status"] == status
        rows = {row.document["name"]: row for row in queue.list_artifacts(job_id=job.id)}
        assert {name: row.document["status"] for name, row in rows.items()} == {
            "page.html": "ready",
            "shot.png": "ready",
        }
        assert rows["page.html"].storage_key == f"jobs/{job.id}/{job.lease_token}/{SHA256}.html"
        assert rows["page.html"].document["attempt"] == 1


def test_a_settlement_that_is_rejected_records_no_file(queue: Queue, age: Age) -> None:
    """The lease is lost: the status says so, and the other settlement of the call is recorded with its file."""
    lost, kept = running_job(queue), running_job(queue)
    age(lost, 3_600)
    queue.recover()
    settled = queue.settle([Settlement(job, Outcome.SUCCEEDED, stored=(PAGE,)) for job in (lost, kept)])
    assert [one.status for one in settled] == ["lease_lost", "ok"]
    assert [row.document["job_id"] for row in queue.list_artifacts()] == [str(kept.id)]


def test_files_of_a_requeued_attempt_are_abandoned(queue: Queue) -> None:
    """The attempt runs again: its files are deleted by the next sweep."""
    job = running_job(queue)
    assert _settled_with(queue, job, PAGE, outcome=Outcome.REQUEUED) == "ok"
    assert {row.document["status"] for row in queue.list_artifacts(job_id=job.id)} == {"orphaned"}


@pytest.mark.parametrize(
    "wrong", [{"sha256": "x"}, {"extension": "../x"}, {"size_bytes": -1}, {"name": ""}, {"name": "n" * 256}], ids=str
)
def test_a_settlement_with_an_invalid_file_changes_nothing(queue: Queue, wrong: dict[str, Json]) -> None:
    """The call is rejected, and the job is still running."""
    job = running_job(queue)
    with pytest.raises(InvalidArgument):
        _settled_with(queue, job, {**PAGE, **wrong})
    assert (look(queue, job)["status"], queue.list_artifacts(job_id=job.id)) == ("running", [])


def test_the_object_of_a_running_attempt_is_not_unknown(queue: Queue, age: Age) -> None:
    """Its row is created when the attempt is settled; after a lost lease, that cannot happen any more."""
    job, key = running_job(queue), "jobs/{0.id}/{0.lease_token}/" + f"{SHA256}.html"
    keys = [key.format(job), f"jobs/{job.id}/{job.id}/{SHA256}.html", "jobs/none/none/a.html", "reports/a.html"]
    assert queue.list_unknown_objects(keys) == keys[1:]
    age(job, 3_600)
    assert queue.list_unknown_objects(keys[:1]) == [], "The lease has expired, but the attempt can still be settled."
    queue.recover()
    assert queue.list_unknown_objects(keys[:1]) == keys[:1]
