"""Lists and statistics for the command line, the web and the sensors."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.migrate import SCHEMA_RELEASE
from cogo_dagster.queue.model import NewJob, Outcome
from cogo_dagster.queue.rows.jobs import JobRow
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import (
    BROKEN,
    PERMANENT,
    a_worker,
    add,
    register,
    running_job,
    settle,
    take,
)


def test_jobs_are_listed_newest_first(queue: Queue) -> None:
    """Jobs are ordered by the time they were enqueued."""
    added = [add(queue) for _ in range(3)]
    assert _ids(queue.list_jobs()) == added[::-1]


def test_jobs_are_filtered(queue: Queue, age: Age) -> None:
    """The filters are status, type, executor and age, alone and combined."""
    pdf = add(queue, "browser.pdf", executor_id="mac")
    figma, old = add(queue, "figma"), add(queue, "browser")
    age(old, 3600)
    running = running_job(queue, "gate").id
    assert set(_ids(queue.list_jobs(statuses=["queued"]))) == {pdf, figma, old}
    assert set(_ids(queue.list_jobs(statuses=["running", "failed"]))) == {running}
    assert set(_ids(queue.list_jobs(type_prefix="browser"))) == {pdf, old}
    assert _ids(queue.list_jobs(executor_id="mac")) == [pdf]
    assert set(_ids(queue.list_jobs(since_seconds=600))) == {pdf, figma, running}
    assert _ids(queue.list_jobs(statuses=["queued"], type_prefix="browser", since_seconds=600)) == [pdf]


def test_a_type_prefix_is_text_not_a_pattern(queue: Queue) -> None:
    """Percent signs and underscores are matched literally."""
    add(queue, "gate_fix")
    assert queue.list_jobs(type_prefix="gate%") == []
    assert queue.list_jobs(type_prefix="gate.") == []
    assert len(queue.list_jobs(type_prefix="gate_")) == 1


def test_pages_of_jobs_follow_one_another(queue: Queue) -> None:
    """The last ID of a page is the cursor of the next; together the pages contain every job once."""
    added = [job.job_id for job in queue.enqueue([NewJob("browser")] * 7)]
    pages: list[UUID] = []
    while page := _ids(queue.list_jobs(max_jobs=3, before_id=pages[-1] if pages else None)):
        pages += page
    assert pages == added[::-1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"statuses": ["dead"]}, "The status 'dead' is unknown: use queued, running, succeeded, failed or cancelled"),
        ({"statuses": "failed"}, "Invalid argument"),
        ({"before_id": "yesterday"}, "Invalid argument"),
        ({"max_jobs": -1}, "Invalid argument"),
    ],
)
def test_an_invalid_filter_is_rejected(queue: Queue, wrong: dict[str, Any], message: str) -> None:
    """The call fails with a message."""
    with pytest.raises(InvalidArgument, match=message):
        queue.transport.call("list_jobs", wrong)


def test_jobs_are_returned_in_the_requested_order(queue: Queue) -> None:
    """Unknown IDs are skipped."""
    first, second = add(queue), add(queue)
    assert _ids(queue.get_jobs([second, uuid4(), first])) == [second, first]
    assert queue.get_jobs([]) == []


def test_a_job_names_the_dagster_run_that_runs_it(queue: Queue, transport: Transport) -> None:
    """The run is that of the worker which claimed the job."""
    worker = a_worker()
    arguments = {"instance_id": str(worker.instance_id), "worker_id": "run", "families": [], "dagster_run_id": "abc"}
    transport.call("register_worker", arguments)
    add(queue)
    [job] = take(queue, worker=worker)
    assert [row.document["dagster_run_id"] for row in queue.get_jobs([job.id])] == ["abc"]


def test_the_dlq_is_listed_newest_failure_first(queue: Queue, owner: Owner) -> None:
    """The list can be filtered by type; closed and replayed jobs are listed on request only."""
    added = [running_job(queue, type) for type in ("browser", "figma", "browser.pdf")]
    for job in added:
        settle(queue, job, Outcome.FAILED, error=PERMANENT)
    browser, figma, pdf = (str(job.id) for job in added)
    assert _dead(queue) == [pdf, figma, browser]
    assert _dead(queue, type_prefix="browser") == [pdf, browser]
    assert _dead(queue, max_jobs=1) == [pdf]
    owner.execute("update public.jobs_dlq set closed_at = now() where job_id = %s", (figma,))
    owner.execute("update public.jobs_dlq set replayed_at = now() where job_id = %s", (pdf,))
    assert _dead(queue) == [browser]
    assert _dead(queue, open_only=False) == [pdf, figma, browser]


def test_artifacts_are_listed_by_job_and_status(queue: Queue) -> None:
    """Artifacts are listed newest first, up to the limit."""
    jobs = [running_job(queue), running_job(queue)]
    file = {"name": "page.html", "content_type": "text/html", "size_bytes": 1, "sha256": "a" * 64, "extension": "html"}
    for job in jobs:
        queue.create_artifacts(job, [file])
    assert [row.document["job_id"] for row in queue.list_artifacts()] == [str(job.id) for job in reversed(jobs)]
    assert [row.document["job_id"] for row in queue.list_artifacts(job_id=jobs[0].id)] == [str(jobs[0].id)]
    assert queue.list_artifacts(status="ready") == []
    assert len(queue.list_artifacts(max_artifacts=1)) == 1


def test_an_empty_queue_is_all_zeros(queue: Queue) -> None:
    """Every number is zero and none is null."""
    stats = dict(queue.stats())
    assert (stats.pop("ready_by_family"), stats.pop("running_by_instance")) == ({}, {})
    assert set(stats.values()) == {0}


def test_the_numbers_add_up(queue: Queue, age: Age) -> None:
    """Each job is counted in its status."""
    for outcome, error in ((Outcome.SUCCEEDED, None), (Outcome.FAILED, PERMANENT), (Outcome.FAILED, BROKEN)):
        settle(queue, running_job(queue, "gate"), outcome, error=error)
    running_job(queue)
    age(running_job(queue), 61)
    ready = [add(queue), add(queue, "browser.pdf", priority=9), add(queue, "figma")]
    add(queue, run_in_seconds=60)
    age(ready[0], 120)
    stats = queue.stats()
    assert (stats.document["ready"], stats.document["ready_by_family"]) == (3, {"browser": 2, "figma": 1})
    assert (stats.document["waiting"], stats.document["running"], stats.document["expired_leases"]) == (2, 2, 1)
    assert (stats.document["succeeded_24h"], stats.document["failed_24h"], stats.document["dlq_open"]) == (1, 1, 1)
    assert 120 <= stats.document["oldest_ready_seconds"] < 180


def test_the_window_of_counts_is_24_hours(queue: Queue, age: Age) -> None:
    """Jobs that ended before are not counted."""
    job = running_job(queue)
    settle(queue, job)
    age(job, 25 * 3600)
    assert queue.stats().document["succeeded_24h"] == 0


def test_ready_counts_jobs_that_an_executor_can_claim(queue: Queue) -> None:
    """These are its own and unaddressed jobs; without an executor, all."""
    for executor_id in (None, "mac", "linux"):
        add(queue, executor_id=executor_id)
    assert queue.stats().document["ready"] == 3
    assert queue.stats("mac").document["ready"] == 2


def test_slots_are_those_of_living_workers(queue: Queue) -> None:
    """A stopped worker has no slots."""
    busy, stopped = a_worker(), a_worker()
    for worker in (busy, stopped):
        register(queue, worker, concurrency=4)
    queue.stop_worker(stopped)
    stats = queue.stats()
    assert (stats.document["workers_alive"], stats.document["slots_alive"], stats.document["slots_free"]) == (1, 4, 4)


def test_slots_are_used_by_running_jobs(queue: Queue) -> None:
    """The numbers agree with the running jobs, whatever the last heartbeat of the worker said."""
    worker = a_worker()
    register(queue, worker, concurrency=2)
    queue.heartbeat(worker, 0, {})
    jobs = [add(queue) for _ in range(3)]
    claimed = take(queue, 2, worker=worker)
    assert queue.stats().document["slots_free"] == 0
    assert [row.running for row in queue.list_workers()] == [2]
    assert queue.explain(jobs)[-1].why == "busy"
    assert [reason["why"] for reason in queue.transport.call("explain_queue", {})["reasons"]] == ["busy"]
    queue.heartbeat(worker, 2, {})
    for job in claimed:
        settle(queue, job)
    assert queue.stats().document["slots_free"] == 2
    assert [row.running for row in queue.list_workers()] == [0]


def test_running_jobs_are_counted_by_worker_start(queue: Queue) -> None:
    """The counts show a sensor which worker holds which jobs."""
    worker = a_worker()
    add(queue)
    add(queue)
    take(queue, worker=worker)
    assert queue.stats().document["running_by_instance"] == {str(worker.instance_id): 2}


def test_the_schema_version_has_the_release_and_the_deployment(queue: Queue) -> None:
    """The deployment ID never changes."""
    version = queue.schema_version()
    assert version.release == SCHEMA_RELEASE
    assert isinstance(version.deployment_id, UUID)


def _ids(rows: Sequence[JobRow]) -> list[UUID]:
    return [row.id for row in rows]


def _dead(queue: Queue, **filters: Any) -> list[str]:
    return [str(row.job_id) for row in queue.list_dlq(**filters)]
