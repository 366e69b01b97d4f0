"""claim_one_job: the call of older workers, which returns one job of any family or null."""

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.queue.steps import add, look

BOX = {"executor_id": None, "worker_id": "box"}


def test_one_job_of_any_family_is_claimed(queue: Queue, transport: Transport) -> None:
    """The result is the job itself, with its lease token."""
    job_id = add(queue, "gate", payload={"commit": "abc"})
    job = transport.call("claim_one_job", BOX)
    assert (job["id"], job["type"], job["payload"], job["attempts"]) == (str(job_id), "gate", {"commit": "abc"}, 1)
    row = look(queue, job_id)
    assert (row["status"], row["worker_id"]) == ("running", "box")
    ended = transport.call("complete_job", {"job_id": job["id"], "lease_token": job["lease_token"], "result": 1})
    assert ended == {"job_id": job["id"], "status": "succeeded"}


def test_nothing_due_is_null(queue: Queue, transport: Transport) -> None:
    """The result is null and not an empty list, also while scheduled or addressed jobs wait."""
    assert transport.call("claim_one_job", BOX) is None
    add(queue, run_in_seconds=60)
    add(queue, executor_id="mac")
    assert transport.call("claim_one_job", BOX) is None


def test_jobs_come_by_priority_over_all_families(queue: Queue, transport: Transport) -> None:
    """The highest priority is claimed first, then the oldest job, of any family."""
    late, urgent, early = (
        add(queue, "browser", run_in_seconds=0.001),
        add(queue, "figma", priority=0),
        add(queue, "gate"),
    )
    added = [urgent, *sorted((late, early), key=lambda job_id: str(look(queue, job_id)["next_run_at"]))]
    assert _drained(transport, BOX) == [str(job_id) for job_id in added]


def test_an_executor_gets_its_own_and_unaddressed_jobs(queue: Queue, transport: Transport) -> None:
    """Jobs of another executor are not claimed."""
    mine, unaddressed = add(queue, "figma", executor_id="mac"), add(queue, "browser")
    add(queue, "browser", executor_id="linux")
    assert sorted(_drained(transport, {"executor_id": "mac", "worker_id": "box"})) == sorted(
        [str(mine), str(unaddressed)]
    )


def test_an_invalid_lease_is_rejected(queue: Queue, transport: Transport) -> None:
    """The limits are those of claim_jobs."""
    add(queue)
    with pytest.raises(InvalidArgument, match="lease_seconds must be 1 to 86400"):
        transport.call("claim_one_job", {**BOX, "lease_seconds": 0})


def _drained(transport: Transport, caller: dict[str, str | None]) -> list[str]:
    claimed = []
    while job := transport.call("claim_one_job", caller):
        claimed.append(job["id"])
    return claimed
