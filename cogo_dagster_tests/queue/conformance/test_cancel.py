"""Cancel: a waiting job ends at once, a running one is asked to."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidTransition, JobNotFound
from cogo_dagster.queue.model import Outcome
from cogo_dagster_tests.queue.steps import BROKEN, HOPELESS, add, look, running_job, settle, take


def test_a_queued_job_is_cancelled_at_once(queue: Queue) -> None:
    """It is over and never claimed."""
    job_id = add(queue)
    assert queue.cancel(job_id).document == {"job_id": str(job_id), "status": "cancelled", "cancel_requested": True}
    assert look(queue, job_id)["finished_at"] is not None
    assert take(queue) == []


def test_a_job_waiting_for_its_retry_is_cancelled_at_once(queue: Queue) -> None:
    """Its backoff does not matter."""
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    assert queue.cancel(job.id).document["status"] == "cancelled"


def test_a_running_job_is_asked_to_stop(queue: Queue) -> None:
    """It runs on until its worker says how it ended."""
    job = running_job(queue)
    assert queue.cancel(job.id).document == {"job_id": str(job.id), "status": "running", "cancel_requested": True}
    assert look(queue, job)["cancel_requested"] is True


@pytest.mark.parametrize(("outcome", "word"), [(Outcome.SUCCEEDED, "succeeded"), (Outcome.FAILED, "failed")])
def test_an_ended_job_cannot_be_cancelled(queue: Queue, outcome: Outcome, word: str) -> None:
    """The sentence says how it ended, and it stays so."""
    job = running_job(queue)
    settle(queue, job, outcome, error=HOPELESS)
    with pytest.raises(InvalidTransition, match=f"Job {job.id} has {word} already and cannot be cancelled"):
        queue.cancel(job.id)
    assert look(queue, job)["cancel_requested"] is False


def test_an_unknown_job_cannot_be_cancelled(queue: Queue) -> None:
    """The sentence names the id."""
    job_id = uuid4()
    with pytest.raises(JobNotFound, match=f"There is no job {job_id}"):
        queue.cancel(job_id)


def test_cancelling_twice_is_cancelling_once(queue: Queue) -> None:
    """Queued or running, the second call answers as the first."""
    waiting, running = add(queue, "figma"), running_job(queue).id
    for job_id in (waiting, running):
        assert queue.cancel(job_id) == queue.cancel(job_id)
