"""A failure that BROWSER_FORCE_SUCCESS counts as a success is marked as forced wherever the job is shown."""

from uuid import UUID

import pytest

from cogo_dagster.executors.browser.executor import forced
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.queue.steps import running_job, settle
from cogo_dagster_tests.web.conftest import ADMIN, Site

FAILURE = ExecutionFailed("The page answered 502.", error_class="http_status", retryable=True)


@pytest.fixture
def job_id(queue: Queue) -> UUID:
    """Return a job whose failure was counted as a success."""
    job = running_job(queue)
    settle(queue, job, result=forced(FAILURE))
    return job.id


def test_the_pages_show_the_status_and_the_error(site: Site, job_id: UUID) -> None:
    """The list and the job's page mark the success as forced; the job's page shows the error."""
    for address in ("/dashboard/jobs", f"/dashboard/jobs/{job_id}"):
        assert "succeeded (forced)" in site.client.get(address, headers=ADMIN).text
    page = site.client.get(f"/dashboard/jobs/{job_id}", headers=ADMIN).text
    assert "The page answered 502." in page
    assert "BROWSER_FORCE_SUCCESS" in page


def test_the_api_marks_the_success_as_forced(site: Site, job_id: UUID) -> None:
    """The list and the job have `forced` set."""
    [row] = site.get("/api/jobs", status="succeeded")["jobs"]
    assert (row["id"], row["forced"]) == (str(job_id), True)
    assert site.get(f"/api/jobs/{job_id}")["forced"] is True
