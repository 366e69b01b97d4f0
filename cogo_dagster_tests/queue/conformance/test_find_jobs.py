"""find_jobs: a job by the first or last digits of its ID."""

from uuid import UUID

import pytest

from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument, JobNotFound
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add

JOB = UUID("01a20e8d-6047-7fe9-a6e2-8fdf820b9ed8")


@pytest.fixture
def job(queue: Queue, owner: Owner) -> UUID:
    """Enqueue a job with a known ID."""
    owner.execute("update public.jobs set id = %s where id = %s", [JOB, add(queue)])
    return JOB


@pytest.mark.parametrize(
    "part",
    ["820b9ed8", "8FDF820B9ED8", "a6e2-8fdf820b9ed8", "01a20e8d", "01a20e8d-6047", "01a20e8d60477fe9a6e28fdf820b9ed8"],
)
def test_the_first_or_last_digits_find_a_job(queue: Queue, job: UUID, part: str) -> None:
    """Case and dashes are ignored."""
    add(queue)
    assert queue.find_id(part) == job


def test_a_complete_id_is_not_looked_up(queue: Queue) -> None:
    """It may be that of a purged job."""
    assert queue.find_id(str(JOB)) == JOB


def test_digits_of_several_jobs_are_rejected(queue: Queue, owner: Owner, job: UUID) -> None:
    """The message has the IDs."""
    other = UUID("01a20e8d-0000-7fe9-a6e2-8fdf820b9ed8")
    owner.execute("update public.jobs set id = %s where id = %s", [other, add(queue)])
    for part in ("820b9ed8", "01a20e8d"):
        with pytest.raises(InvalidArgument, match=str(other)):
            queue.find_id(part)
    assert queue.find_id("01a20e8d-6047") == job


def test_a_purged_job_is_found_in_the_dead_letter_queue(queue: Queue) -> None:
    """A dead-lettered job does not need its job row."""
    dead = failed_job(queue)
    perform(queue, Operation("purge_jobs", {"statuses": ["failed"], "older_than_days": 0}), "me")
    assert queue.list_jobs() == []
    assert queue.find_id(str(dead)[-8:]) == dead


@pytest.mark.parametrize("part", ["", "7", "1234567", "not hexadecimal", "0" * 33])
def test_what_is_not_part_of_an_id_is_rejected(queue: Queue, part: str) -> None:
    """Fewer digits would belong to many jobs."""
    with pytest.raises(InvalidArgument):
        queue.find_id(part)


def test_unknown_digits_are_not_found(queue: Queue, job: UUID) -> None:
    """Digits in the middle do not count."""
    for part in ("ffffffff", "60477fe9"):
        with pytest.raises(JobNotFound):
            queue.find_id(part)
