"""The history of jobs."""

from cogo_dagster.formatting.timeline import attempts_of, timeline
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Outcome
from cogo_dagster_tests.conftest import Age
from cogo_dagster_tests.queue.steps import BROKEN, add, running_job, settle, take_one, whole


def test_a_queued_job_has_two_moments(queue: Queue) -> None:
    """The moments are the enqueue and the due time."""
    job = whole(queue, add(queue, run_in_seconds=60))
    assert [moment.kind for moment in timeline(job)] == ["created", "next"]
    assert attempts_of(job) == []


def test_every_attempt_is_listed_once(queue: Queue, age: Age) -> None:
    """The attempts are one that failed, one that was lost and one that succeeded."""
    first = running_job(queue)
    settle(queue, first, Outcome.FAILED, error=BROKEN)
    age(first, 3_600)
    second = take_one(queue)
    age(second, 3_600)
    queue.recover()
    third = take_one(queue)
    settle(queue, third)
    job = whole(queue, third)
    assert [(one.number, one.outcome) for one in attempts_of(job)] == [(1, "failed"), (2, "lost"), (3, "succeeded")]
    kinds = [moment.kind for moment in timeline(job)]
    assert (kinds.count("claimed"), kinds[-1]) == (3, "succeeded")


def test_a_crash_in_the_last_attempt_is_listed_once(queue: Queue, age: Age) -> None:
    """The row of the job and the superseded attempt describe the same attempt."""
    job = running_job(queue, max_attempts=1)
    age(job, 3_600)
    queue.recover()
    assert [(one.number, one.outcome) for one in attempts_of(whole(queue, job))] == [(1, "lost")]


def test_the_last_moment_of_a_running_job_is_its_lease(queue: Queue) -> None:
    """Future moments are last."""
    job = running_job(queue)
    assert [moment.kind for moment in timeline(whole(queue, job))] == ["created", "claimed", "lease"]
