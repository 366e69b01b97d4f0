"""Cancel: a queued job ends at once, a running one gets a cancel request."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidTransition, JobNotFound
from cogo_dagster.queue.model import Outcome
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, add, look, running_job, settle, take


def test_a_queued_job_is_cancelled_at_once(queue: Queue) -> None:
    """A cancelled job is finished and never claimed."""
    job_id = add(queue)
    assert queue.cancel(job_id).document == {"job_id": str(job_id), "status": "cancelled", "cancel_requested": True}
    assert look(queue, job_id)["finished_at"] is not None
    assert take(queue) == []


def test_a_job_waiting_for_its_retry_is_cancelled_at_once(queue: Queue) -> None:
    """A cancel does not wait for the backoff."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    assert queue.cancel(job.id).document["status"] == "cancelled"


def test_a_running_job_gets_a_cancel_request(queue: Queue) -> None:
    """The job keeps running until its worker settles it."""
    job = running_job(queue)
    assert queue.cancel(job.id).document == {"job_id": str(job.id), "status": "running", "cancel_requested": True}
    assert look(queue, job)["cancel_requested"] is True


@pytest.mark.parametrize(("outcome", "word"), [(Outcome.SUCCEEDED, "succeeded"), (Outcome.FAILED, "failed")])
def test_a_finished_job_cannot_be_cancelled(queue: Queue, outcome: Outcome, word: str) -> None:
    """The message names its status, and the job is unchanged."""
    job = running_job(queue)
    settle(queue, job, outcome, error=PERMANENT)
    with pytest.raises(InvalidTransition, match=f"Job {job.id} has {word} already and cannot be cancelled"):
        queue.cancel(job.id)
    assert look(queue, job)["cancel_requested"] is False


def test_an_unknown_job_cannot_be_cancelled(queue: Queue) -> None:
    """The message names the ID."""
    job_id = uuid4()
    with pytest.raises(JobNotFound, match=f"There is no job {job_id}"):
        queue.cancel(job_id)


def test_cancel_is_idempotent(queue: Queue) -> None:
    """A second call returns the same result for a queued and a running job."""
    waiting, running = add(queue, "figma"), running_job(queue).id
    for job_id in (waiting, running):
        assert queue.cancel(job_id) == queue.cancel(job_id)
