"""The results of an enqueue, which are made when they are read."""

from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Enqueued, EnqueuedJobs, NewJob

IDS = [str(uuid4()) for _ in range(5)]


def results() -> EnqueuedJobs:
    """Return those of two calls, the second of which found its second job."""
    enqueued = EnqueuedJobs()
    enqueued.add(IDS[:2], None)
    enqueued.add(IDS[2:], [True, False, True])
    return enqueued


def test_results_are_read_like_a_list() -> None:
    """Indices, slices, iteration, comparison and unpacking give the same as a list of results would."""
    expected = [Enqueued(UUID(text), created=number != 3) for number, text in enumerate(IDS)]
    found = results()
    assert list(found) == expected
    assert found == expected
    assert [found[0], found[-1]] == [expected[0], expected[-1]]
    assert found[1:4] == expected[1:4]
    assert list(reversed(found)) == expected[::-1]
    assert expected[3] in found
    assert repr(found) == repr(list(found))
    assert len(found) == 5
    assert found != expected[1:]
    with pytest.raises(IndexError):
        found[5]


def test_created_jobs_are_counted_without_reading_the_results() -> None:
    """A job whose key belongs to an earlier job is not created."""
    assert (results().created, results().ids) == (4, IDS)


def test_an_enqueue_of_several_calls_reports_the_jobs_that_existed(queue: Queue) -> None:
    """The numbers of a later call follow those of the earlier one."""
    [first] = queue.enqueue([NewJob("noop", idempotency_key="1500")])
    found = queue.enqueue([NewJob("noop", idempotency_key=str(number)) for number in range(2_000)])
    assert found.created == 1_999
    assert found[1_500] == Enqueued(first.job_id, created=False)
    assert found[1_499].created
