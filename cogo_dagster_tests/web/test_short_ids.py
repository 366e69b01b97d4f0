"""Every ID that a list shows can be given by its last digits, in addresses of the API and of pages."""

import pytest

from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster_tests.queue.steps import add, running_job
from cogo_dagster_tests.web.conftest import Site
from cogo_dagster_tests.web.population import Population


def silence(site: Site) -> str:
    """Create a silence and return its ID."""
    created = site.post("/api/alerts/silences", {"kind": "job_failed", "duration_seconds": 60})
    return str(created["silence_id"])


def test_the_api_accepts_the_last_digits(site: Site, populated: Population) -> None:
    """Of jobs, artifacts, operations, silences and actions."""
    dead, done = str(populated.dead)[-8:], str(populated.done)[-8:]
    [artifact, *_] = site.get("/api/artifacts", job_id=str(populated.done))["artifacts"]
    for path in (
        *(f"/api/jobs/{done}{part}" for part in ("", "/attempts", "/payload", "/result")),
        f"/api/artifacts/{artifact['id'][-8:]}",
        f"/api/artifacts/{artifact['id'][-8:]}/content",
        f"/api/actions/{str(populated.action)[-8:]}",
    ):
        assert site.read(path).status_code == 200, path
    discard = site.post(f"/api/dlq/{dead}/discard", {"reason": "gone"})
    assert site.post(f"/api/operations/{discard['operation_id'][-8:]}/undo")["changed"] == 1
    assert site.post(f"/api/dlq/{dead}/replay")["changed"] == 1
    assert site.post(f"/api/jobs/{str(populated.waiting)[-8:]}/cancel")["status"] == "cancelled"
    assert site.post(f"/api/alerts/silences/{silence(site)[-8:]}/end")["changed"] is True


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/jobs/{}", "GET"),
        ("/api/artifacts/{}", "GET"),
        ("/api/actions/{}", "GET"),
        ("/api/operations/{}/undo", "POST"),
        ("/dashboard/jobs/{}", "GET"),
        ("/dashboard/actions/{}", "GET"),
        ("/dashboard/gate/{}", "GET"),
    ],
)
def test_unknown_digits_are_not_found(site: Site, path: str, method: str) -> None:
    """The same as an unknown ID."""
    if method == "GET":
        assert site.read(path.format("ffffffff")).status_code == 404
    else:
        site.post(path.format("ffffffff"), status=404)


def test_a_worker_is_found_by_its_instance(site: Site) -> None:
    """Lists of workers show it."""
    job = running_job(site.queue)
    [instance] = {str(row.instance_id) for row in site.queue.list_jobs(statuses=["running"])}
    add(site.queue)
    for part in (instance, instance[:8], instance[-8:]):
        assert [row["id"] for row in site.get("/api/jobs", where=f"worker:{part}")["jobs"]] == [str(job.id)]


def test_the_client_names_what_it_did_not_find(site: Site) -> None:
    """An ID of another kind is not accepted."""
    job = add(site.queue)
    with pytest.raises(JobNotFound, match="No gate run"):
        site.queue.find_any("gate_run", str(job)[-8:])
