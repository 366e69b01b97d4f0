"""Artifacts: only the holder of a lease leaves files, and what is ready is never swept away."""

from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, LeaseLost
from cogo_dagster.queue.model import Job, Json, Outcome
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


def test_an_announced_file_is_pending_where_the_server_puts_it(queue: Queue) -> None:
    """The key is made of job, lease and content; the answer is in the order given; nobody is shown it yet."""
    job = running_job(queue)
    shot, page = queue.create_artifacts(job, [SHOT, PAGE])
    assert shot.storage_key == f"jobs/{job.id}/{job.lease_token}/{'b' * 64}.png"
    assert page.storage_key == f"jobs/{job.id}/{job.lease_token}/{SHA256}.html"
    assert look(queue, job)["artifacts"] == []
    assert {row.document["status"] for row in queue.list_artifacts(job_id=job.id)} == {"pending"}


def test_a_finished_file_is_ready_with_its_facts(queue: Queue) -> None:
    """It is shown with the job."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    [row] = look(queue, job)["artifacts"]
    assert (row["name"], row["content_type"], row["size_bytes"], row["sha256"]) == ("page.html", "text/html", 3, SHA256)
    assert (row["status"], row["attempt"]) == ("ready", 1)
    assert row["ready_at"] is not None


def test_announcing_twice_is_announcing_once(queue: Queue) -> None:
    """The reply was lost: the same rows come back, and one that is ready stays so."""
    job = running_job(queue)
    first = queue.create_artifacts(job, [PAGE, SHOT])
    assert queue.create_artifacts(job, [PAGE, SHOT]) == first
    queue.finish_artifacts(job, [first[0].artifact_id])
    assert queue.create_artifacts(job, [PAGE, SHOT]) == first
    assert [row["name"] for row in look(queue, job)["artifacts"]] == ["page.html"]


def test_other_content_under_the_same_name_must_be_uploaded_again(queue: Queue) -> None:
    """The row is pending again, at another key."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    [row] = queue.create_artifacts(job, [{**PAGE, "sha256": "c" * 64}])
    assert row.storage_key.endswith(f"{'c' * 64}.html")
    assert look(queue, job)["artifacts"] == []


def test_finishing_twice_is_finishing_once(queue: Queue) -> None:
    """The second call is not refused."""
    job = running_job(queue)
    [row] = queue.create_artifacts(job, [PAGE])
    for _ in range(2):
        queue.finish_artifacts(job, [row.artifact_id])
    assert len(look(queue, job)["artifacts"]) == 1


def test_a_lost_lease_leaves_no_files(queue: Queue, age: Age) -> None:
    """Neither announcing nor finishing is accepted from a stale worker."""
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


def test_an_upload_that_comes_after_the_end_is_refused(queue: Queue) -> None:
    """The job has ended with what was ready then."""
    job = running_job(queue)
    [row] = queue.create_artifacts(job, [PAGE])
    settle(queue, job)
    with pytest.raises(LeaseLost):
        queue.create_artifacts(job, [SHOT])
    with pytest.raises(LeaseLost):
        queue.finish_artifacts(job, [row.artifact_id])


def test_one_lease_does_not_finish_the_files_of_another(queue: Queue) -> None:
    """An id of somebody else's file is passed over."""
    mine, theirs = running_job(queue), running_job(queue)
    [row] = queue.create_artifacts(theirs, [PAGE])
    queue.finish_artifacts(mine, [row.artifact_id])
    assert queue.list_artifacts(status="ready") == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sha256": "A" * 64}, "sha256 must be 64 hexadecimal digits"),
        ({"sha256": None}, "sha256 must be 64 hexadecimal digits"),
        ({"extension": "../x"}, "The extension must be 1 to 10 lower-case letters or digits"),
        ({"extension": None}, "The extension must be 1 to 10 lower-case letters or digits"),
        ({"name": None}, "Each artifact needs a name of its own"),
        ({"name": "shot.png"}, "Each artifact needs a name of its own"),
        ({"name": ""}, "name of an artifact must have 1 to 255 characters"),
        ({"name": "x" * 256}, "name of an artifact must have 1 to 255 characters"),
        ({"content_type": "x" * 256}, "at most 255 characters"),
    ],
)
def test_a_wrong_announcement_is_refused(queue: Queue, wrong: dict[str, Any], sentence: str) -> None:
    """Nothing of the batch is kept."""
    job = running_job(queue)
    with pytest.raises(InvalidArgument, match=sentence):
        queue.create_artifacts(job, [SHOT, PAGE | wrong])
    assert queue.list_artifacts() == []


def test_recovery_orphans_the_files_of_the_lost_attempt(queue: Queue, age: Age) -> None:
    """Ready or not, they are not shown with the next attempt, and are swept."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    queue.create_artifacts(job, [SHOT])
    age(job, 3600)
    queue.recover()
    assert look(queue, job)["artifacts"] == []
    assert {row.document["status"] for row in queue.list_artifacts()} == {"orphaned"}
    assert len(queue.list_abandoned_artifacts(grace_seconds=0)) == 2


def test_giving_an_attempt_back_orphans_its_files(queue: Queue) -> None:
    """The worker stopped after the upload and before the settlement: the next attempt makes files of its own."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    queue.create_artifacts(job, [SHOT])
    settle(queue, job, Outcome.REQUEUED)
    assert {row.document["status"] for row in queue.list_artifacts()} == {"orphaned"}
    again = take_one(queue)
    _uploaded(queue, again, PAGE)
    settle(queue, again, Outcome.SUCCEEDED)
    assert [row["status"] for row in look(queue, job)["artifacts"]] == ["ready"]


def test_the_files_of_a_failed_attempt_stay(queue: Queue) -> None:
    """They tell what went wrong."""
    job = running_job(queue)
    _uploaded(queue, job, PAGE)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    assert len(look(queue, job)["artifacts"]) == 1
    assert queue.list_abandoned_artifacts(grace_seconds=0) == []


def test_an_upload_under_way_is_not_abandoned(queue: Queue) -> None:
    """While its lease is held, a pending file is nobody else's business."""
    job = running_job(queue)
    queue.create_artifacts(job, [PAGE])
    assert queue.list_abandoned_artifacts(grace_seconds=0) == []
    settle(queue, job)
    assert [row.document["storage_key"][-5:] for row in queue.list_abandoned_artifacts(grace_seconds=0)] == [".html"]


def test_a_file_is_abandoned_only_after_the_grace_time(queue: Queue, owner: Owner) -> None:
    """A late uploader has that long to notice; then the sweeper may take it, oldest first and so many at once."""
    job = running_job(queue)
    first, second = queue.create_artifacts(job, [PAGE, SHOT])
    settle(queue, job)
    assert queue.list_abandoned_artifacts(grace_seconds=300) == []
    for row, minutes in ((first, 10), (second, 20)):
        older = "update public.artifacts set created_at = now() - make_interval(mins => %s) where id = %s"
        owner.execute(older, (minutes, row.artifact_id))
    assert documents(queue.list_abandoned_artifacts(grace_seconds=300, max_artifacts=1)) == [second.to_json()]
    assert documents(queue.list_abandoned_artifacts(grace_seconds=300)) == [second.to_json(), first.to_json()]


def test_deleting_never_touches_a_ready_file(queue: Queue) -> None:
    """Only what is abandoned goes; a second call finds nothing."""
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


def test_a_ready_file_is_found_by_what_it_is_a_copy_of(queue: Queue, transport: Transport) -> None:
    """The newest of them; not one that is pending or of another key."""
    older, newer, unfinished = (running_job(queue) for _ in range(3))
    _uploaded(queue, older, {**PAGE, "cache_key": "home"})
    _uploaded(queue, newer, {**PAGE, "cache_key": "home"})
    _uploaded(queue, newer, {**SHOT, "cache_key": None})
    queue.create_artifacts(unfinished, [{**SHOT, "cache_key": "shot"}])
    found = transport.call("find_cached_artifacts", {"cache_keys": ["home", "shot", "none"]})
    assert {key: row["job_id"] for key, row in found.items()} == {"home": str(newer.id)}


@pytest.mark.parametrize("wrong", [None, "home", ["x"] * 1_001])
def test_cached_files_are_asked_for_in_a_list_of_bounded_length(transport: Transport, wrong: Json) -> None:
    """With a sentence that says so."""
    with pytest.raises(InvalidArgument, match="at most 1,000 texts"):
        transport.call("find_cached_artifacts", {"cache_keys": wrong})


def test_two_files_of_one_content_are_deleted_independently(queue: Queue, owner: Owner) -> None:
    """While one of them is kept, only the other's row goes; once both are given up, the object goes too."""
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


def test_files_that_cannot_be_deleted_do_not_keep_the_others_waiting(queue: Queue, transport: Transport) -> None:
    """A page begins after the last one that could not be; one that is gone begins anew."""
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
