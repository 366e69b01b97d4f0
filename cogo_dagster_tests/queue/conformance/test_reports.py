"""Files without a job: the same protocol as artifacts of jobs, without a lease to fence it."""

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner

SHA256 = "e" * 64
REPORT: dict[str, Json] = {
    "name": "junit.xml",
    "content_type": "application/xml",
    "size_bytes": 5,
    "sha256": SHA256,
    "extension": "xml",
}


def make_older(owner: Owner, minutes: int) -> None:
    """Make every artifact older."""
    owner.execute("update public.artifacts set created_at = created_at - make_interval(mins => %s)", (minutes,))


def test_a_report_goes_where_its_content_says(transport: Transport, queue: Queue) -> None:
    """Pending first, ready when it is finished; finishing twice is finishing once."""
    row = transport.call("create_report", REPORT)
    assert (row["storage_key"], row["status"]) == (f"reports/{SHA256}.xml", "pending")
    for _ in range(2):
        transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    [kept] = queue.list_artifacts(status="ready")
    assert (kept.document["name"], kept.document["job_id"], kept.document["sha256"]) == ("junit.xml", None, SHA256)


def test_the_same_content_is_one_artifact(transport: Transport, owner: Owner) -> None:
    """Announced again it is ready already, and its time to live begins anew."""
    first = transport.call("create_report", REPORT)
    transport.call("finish_report", {"artifact_id": first["artifact_id"]})
    make_older(owner, 60 * 24 * 29)
    again = transport.call("create_report", REPORT)
    assert again == first | {"status": "ready"}
    assert transport.call("cleanup_artifacts", {"older_than_days": 1, "dry_run": True})["matched"] == 0


def test_what_was_never_finished_is_swept_after_a_quarter_of_an_hour(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """Not before, whatever grace the sweeper gives, since it may not finish any more by then."""
    row = transport.call("create_report", REPORT)
    make_older(owner, 14)
    assert queue.list_abandoned_artifacts(0) == []
    with pytest.raises(InvalidArgument, match="upload it again"):
        transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    make_older(owner, 2)
    assert [one.document["artifact_id"] for one in queue.list_abandoned_artifacts(0)] == [row["artifact_id"]]
    assert queue.delete_artifacts([row["artifact_id"]]) == 1


def test_a_report_that_is_being_swept_is_not_brought_back(transport: Transport, owner: Owner) -> None:
    """The sweeper may delete the old object at any moment, so the new one has a key of its own."""
    first = transport.call("create_report", REPORT)
    transport.call("finish_report", {"artifact_id": first["artifact_id"]})
    owner.execute("update public.artifacts set status = 'orphaned'")
    second = transport.call("create_report", REPORT)
    assert second["artifact_id"] != first["artifact_id"]
    assert (second["storage_key"], second["status"]) == (f"reports/{SHA256}.2.xml", "pending")
    assert transport.call("create_report", REPORT) == second


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"sha256": "../x"}, "sha256"), ({"extension": "XML/.."}, "extension"), ({"name": ""}, "name")],
)
def test_a_report_that_cannot_have_a_key_is_refused(transport: Transport, wrong: dict[str, Json], words: str) -> None:
    """The key is made of what is checked."""
    with pytest.raises(InvalidArgument, match=words):
        transport.call("create_report", REPORT | wrong)
