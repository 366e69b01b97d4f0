"""Renew: a worker extends its leases and gets the status of each job."""

from datetime import datetime
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Job
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age
from cogo_dagster_tests.queue.steps import look, running_job, settle, take_one


def test_renewing_extends_the_lease(queue: Queue) -> None:
    """The lease ends `lease_seconds` from now, and not from its previous end."""
    job = running_job(queue)
    before = _lease_end(queue, job)
    assert queue.renew([job], 600) == ["ok"]
    assert 530 < (_lease_end(queue, job) - before).total_seconds() < 600


def test_renewing_returns_a_cancel_request(queue: Queue) -> None:
    """The lease is extended too, so that the worker can stop cleanly."""
    job = running_job(queue)
    before = _lease_end(queue, job)
    queue.cancel(job.id)
    assert queue.renew([job], 600) == ["cancel_requested"]
    assert _lease_end(queue, job) > before


def test_an_expired_lease_that_was_not_recovered_can_be_renewed(queue: Queue, age: Age) -> None:
    """The token is still the job's."""
    job = running_job(queue)
    age(job, 600)
    assert queue.renew([job], 60) == ["ok"]
    assert queue.recover().requeued == 0


def test_a_lease_that_was_taken_over_is_lost(queue: Queue, age: Age) -> None:
    """After recovery and a new claim, the old worker gets `lease_lost`, and the new lease is unchanged."""
    job = running_job(queue)
    age(job, 600)
    queue.recover()
    newer = take_one(queue)
    before = _lease_end(queue, newer)
    assert queue.renew([job], 600) == ["lease_lost"]
    assert _lease_end(queue, newer) == before


def test_the_lease_of_a_finished_job_is_lost(queue: Queue) -> None:
    """A finished job has no lease to renew."""
    job = running_job(queue)
    settle(queue, job)
    assert queue.renew([job], 60) == ["lease_lost"]


def test_each_item_has_its_own_answer(queue: Queue, transport: Transport) -> None:
    """A lost and an unknown lease do not affect the others, and the order is kept."""
    lost, held, cancelled = (running_job(queue) for _ in range(3))
    settle(queue, lost)
    queue.cancel(cancelled.id)
    leases = [{"job_id": str(job.id), "lease_token": str(job.lease_token)} for job in (lost, held, cancelled)]
    leases.insert(1, {"job_id": str(uuid4()), "lease_token": str(uuid4())})
    answer = transport.call("renew_leases", {"leases": leases, "lease_seconds": 600})
    assert answer == {"statuses": ["lease_lost", "job_not_found", "ok", "cancel_requested"]}


def test_an_empty_list_is_valid(queue: Queue) -> None:
    """An empty list has an empty result."""
    assert queue.renew([], 60) == []


@pytest.mark.parametrize("lease_seconds", [0, -1, 86_401, None])
def test_an_invalid_lease_length_is_rejected(transport: Transport, lease_seconds: int | None) -> None:
    """The limits are those of a claim."""
    with pytest.raises(InvalidArgument, match="lease_seconds must be 1 to 86400"):
        transport.call("renew_leases", {"leases": [], "lease_seconds": lease_seconds})


def _lease_end(queue: Queue, job: Job) -> datetime:
    return datetime.fromisoformat(look(queue, job)["lease_expires_at"])
