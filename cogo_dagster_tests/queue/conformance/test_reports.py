"""Reports: artifacts without a job, with the same protocol but without a lease."""

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


def test_the_key_of_a_report_depends_on_its_content(transport: Transport, queue: Queue) -> None:
    """A report is pending, and ready when finished; finishing is idempotent."""
    row = transport.call("create_report", REPORT)
    assert (row["storage_key"], row["status"]) == (f"reports/{SHA256}.xml", "pending")
    for _ in range(2):
        transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    [kept] = queue.list_artifacts(status="ready")
    assert (kept.document["name"], kept.document["job_id"], kept.document["sha256"]) == ("junit.xml", None, SHA256)


def test_the_same_content_is_one_artifact(transport: Transport, owner: Owner) -> None:
    """Created again, it is ready already, and its TTL starts again."""
    first = transport.call("create_report", REPORT)
    transport.call("finish_report", {"artifact_id": first["artifact_id"]})
    make_older(owner, 60 * 24 * 29)
    again = transport.call("create_report", REPORT)
    assert again == first | {"status": "ready"}
    assert transport.call("cleanup_artifacts", {"older_than_days": 1, "dry_run": True})["matched"] == 0


def test_an_unfinished_report_is_swept_after_a_quarter_of_an_hour(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """It is not swept earlier, whatever the sweeper's grace period, since it may still be finished until then."""
    row = transport.call("create_report", REPORT)
    make_older(owner, 14)
    assert queue.list_abandoned_artifacts(0) == []
    with pytest.raises(InvalidArgument, match="upload it again"):
        transport.call("finish_report", {"artifact_id": row["artifact_id"]})
    make_older(owner, 2)
    assert [one.document["artifact_id"] for one in queue.list_abandoned_artifacts(0)] == [row["artifact_id"]]
    assert queue.delete_artifacts([row["artifact_id"]]) == 1


def test_a_report_that_is_being_swept_is_not_reused(transport: Transport, owner: Owner) -> None:
    """The sweeper may delete the old object at any moment, so the new one has another key."""
    first = transport.call("create_report", REPORT)
    transport.call("finish_report", {"artifact_id": first["artifact_id"]})
    owner.execute("update public.artifacts set status = 'orphaned'")
    second = transport.call("create_report", REPORT)
    assert second["artifact_id"] != first["artifact_id"]
    assert (second["storage_key"], second["status"]) == (f"reports/{SHA256}.2.xml", "pending")
    assert transport.call("create_report", REPORT) == second


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"sha256": "../x"}, "sha256"), ({"extension": "XML/.."}, "extension"), ({"name": ""}, "name")],
)
def test_an_invalid_report_is_rejected(transport: Transport, wrong: dict[str, Json], message: str) -> None:
    """The fields that form the key are validated."""
    with pytest.raises(InvalidArgument, match=message):
        transport.call("create_report", REPORT | wrong)
