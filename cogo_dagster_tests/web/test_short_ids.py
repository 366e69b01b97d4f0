"""Every ID that a list shows can be given by its last digits, in addresses of the API and of pages."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, settle, take
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


def test_the_search_field_takes_any_id(site: Site, populated: Population, owner: Owner) -> None:
    """In full, or its last digits: of jobs, attempts, Dagster runs, workers, actions, artifacts and operations."""
    run = str(uuid4())
    job, attempt = run_by(site, owner, run)
    [artifact, *_] = site.get("/api/artifacts", job_id=str(populated.done))["artifacts"]
    operation = str(site.queue.list_operations(max_operations=1)[0].id)
    for given, page in (
        (job, f"/dashboard/jobs/{job}"),
        (attempt, f"/dashboard/jobs/{job}"),
        (run, f"/dashboard/jobs?q=run:{run}"),
        (str(populated.worker.instance_id), f"/dashboard/jobs?q=worker:{populated.worker.instance_id}"),
        (str(populated.action), f"/dashboard/actions/{populated.action}"),
        (artifact["id"], f"/api/artifacts/{artifact['id']}"),
        (operation, f"/dashboard/log#operation-{operation}"),
    ):
        for part in (given, given[-8:], given[-12:]):
            assert site.read("/dashboard/jobs", q=part).headers.get("location") == page, (page, part)
    assert site.read("/dashboard/jobs", q="ffffffff").status_code == 200


def run_by(site: Site, owner: Owner, run: str) -> tuple[str, str]:
    """Run a job by a worker of a Dagster run; return its ID and that of the attempt."""
    worker = a_worker("of-the-run")
    register(site.queue, worker, families=("browser",))
    owner.execute("update public.workers set dagster_run_id = %s where instance_id = %s", (run, worker.instance_id))
    add(site.queue)
    [job] = take(site.queue, worker=worker)
    settle(site.queue, job)
    return str(job.id), str(job.lease_token)


def test_attempts_and_runs_are_filters(site: Site, populated: Population, owner: Owner) -> None:
    """In full, or by their last digits; routes of a job take the ID of its attempt."""
    run = str(uuid4())
    job, attempt = run_by(site, owner, run)
    for where in (f"run:{run}", f"run:{run[-8:]}", f"run:{run[:8]}", f"attempt:{attempt}", f"attempt:{attempt[-8:]}"):
        assert [row["id"] for row in site.get("/api/jobs", where=where)["jobs"]] == [job], where
    for part in (attempt, attempt[-8:]):
        assert site.get(f"/api/jobs/{part}")["id"] == job
    assert site.get("/api/jobs", where="run:ffffffff")["jobs"] == []


def test_the_client_names_what_it_did_not_find(site: Site) -> None:
    """An ID of another kind is not accepted."""
    job = add(site.queue)
    with pytest.raises(JobNotFound, match="No gate run"):
        site.queue.find_any("gate_run", str(job)[-8:])
