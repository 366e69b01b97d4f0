"""The wheel without a checkout: it is complete, its demo runs in an account without settings, and then `cogo dev`.

`cogo dev` launches workers, the UI shows them, and terminating or killing them loses no job.
"""

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import UUID
from zipfile import ZipFile

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from cogo_dagster.cli.options import typed
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.queue.artifacts import FolderStore, sweep_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.defs.test_definitions import ASSETS, JOBS
from cogo_dagster_tests.e2e.system import Dev
from cogo_dagster_tests.e2e.wheel import Account, destroy, run_demo
from cogo_dagster_tests.executors.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

OPS = ["claim_jobs", "execute_jobs", "upload_artifacts"]
RUN = """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
    status jobName executionPlan { steps { key } } stepStats { stepKey } } } }"""
SENSOR = """{ sensorOrError(sensorSelector: {
    repositoryLocationName: "cogo", repositoryName: "__repository__", sensorName: "dlq_replay"
}) { ... on Sensor { sensorState { status } } } }"""
DEFINITIONS = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    location { name } jobs { name } assetNodes { assetKey { path } } } } } }"""
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"

ONE_JOB = "ops: {claim_jobs: {config: {max_jobs: 1}}}"

STILL = "<title>Still</title><img src='/reached'>"
DONE = "<title>Done</title><p id='done'>done</p>"

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def page() -> Iterator[Page]:
    """Open a page in a browser."""
    program = find_browser(BrowserOptions(), install=True).executable_path
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


def run_of(dev: Dev, job_id: str) -> Json:
    """Return the Dagster run of a job from GraphQL."""
    return dev.graphql(RUN, id=dev.job(job_id)["dagster_run_id"])["runOrError"]


def a_slow_job(dev: Dev, site: Site, path: str) -> str:
    """Enqueue a job whose page never finishes, and wait until its browser has opened it."""
    site.pages[path] = STILL
    site.reached.clear()
    job_id = dev.enqueue(site.url(path), actions=[{"do": "wait_for", "selector": "#done", "timeout_ms": 100_000}])
    dev.until(lambda: site.reached.is_set() or dev.job(job_id)["error"], "the browser opened the page", 90)
    assert dev.job(job_id)["error"] is None
    return job_id


def ended(dev: Dev, job_id: str) -> Json:
    """Wait for a job to finish."""
    return dev.until(lambda: (job := dev.job(job_id))["status"] in {"succeeded", "failed"} and job, "the job ended", 90)


def test_the_wheel_contains_all_data_files(wheel: Path) -> None:
    """The wheel has Dagster's files, the SQL, templates and static files."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"cogo_dagster/_project/dagster.yaml", "cogo_dagster/_project/workspace.yaml"} <= names
    folders = {"sql": "cogo_dagster/_sql", "cogo_dagster": "cogo_dagster"}
    for source, target in folders.items():
        files = subprocess.run(
            ["git", "ls-files", source], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert [file for file in files if f"{target}{file.removeprefix(source)}" not in names] == []


def test_the_demo_leaves_what_it_reports(programs: Path, account: Account) -> None:
    """The files match their rows, the run is in Dagster's storage, and no process is left."""
    document = run_demo(account, programs / "cogo")
    for job in document["jobs"]:
        assert (job["attempts"], job["type"].partition(".")[0]) == (1, "browser")
        assert job["id"]
        for artifact in job["artifacts"]:
            content = Path(artifact["path"]).read_bytes()
            assert len(content) == artifact["size_bytes"]
            assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        [screenshot] = [artifact for artifact in job["artifacts"] if artifact["content_type"] == "image/png"]
        assert Path(screenshot["path"]).read_bytes().startswith(PNG)
    assert any(
        artifact["content_type"] == "application/pdf" for job in document["jobs"] for artifact in job["artifacts"]
    )

    server = EmbeddedServer(account.folder)
    with server.running(), psycopg.connect(server.dsn("dagster")) as connection:
        run_id = document["dagster_run_id"]
        [run] = connection.execute("select pipeline_name, status from runs where run_id = %s", (run_id,)).fetchall()
        assert run == ("process_jobs", "SUCCESS")
        query = "select step_key from event_logs where run_id = %s and dagster_event_type = 'STEP_SUCCESS' order by id"
        steps = [step for (step,) in connection.execute(query, (run_id,)).fetchall()]
        assert steps == ["claim_jobs", "execute_jobs", "upload_artifacts"]


def test_the_wheels_code_is_used(programs: Path, account: Account) -> None:
    """The package is imported from the wheel, and hints do not mention `uv run`, which needs a checkout."""
    file = account.run(programs / "python", "-c", "import cogo_dagster; print(cogo_dagster.__file__)")
    assert Path(file.strip()).is_relative_to(programs.parent)
    code = "from cogo_dagster.cli.options import typed; print(typed('dev'))"
    assert account.run(programs / "python", "-c", code) == "cogo dev\n"
    assert typed("dev") == "uv run cogo dev"


def test_the_login_link_logs_in(dev: Dev, site: Site) -> None:
    """Reading needs no login; the printed link creates a session of an operator, once."""
    printed = dev.printed()
    assert printed["dashboard_url"] == f"{dev.web_url}/dashboard/local"
    assert httpx.get(f"{dev.web_url}/api/jobs").status_code == 200
    assert httpx.get(f"{dev.web_url}/api/jobs", headers={"x-real-ip": "203.0.113.9"}).status_code == 403
    with httpx.Client() as browser:
        assert browser.get(printed["login_url"]).headers["location"] == "/dashboard/local?did=login"
        page = browser.get(f"{dev.web_url}/dashboard/workers").text
    assert "Log out cogo dev" in page
    assert httpx.get(printed["login_url"]).status_code == 401


def test_the_replay_sensor_runs_in_cogo_dev(dev: Dev) -> None:
    """The sensor dlq_replay, stopped by default, is started by `cogo dev`."""
    dev.until(
        lambda: dev.graphql(SENSOR)["sensorOrError"]["sensorState"]["status"] == "RUNNING", "the sensor is running"
    )


def test_the_dagster_ui_launches_process_jobs(dev: Dev, site: Site, page: Page) -> None:
    """A run from the launchpad executes a job and shows its ops; the job's page on the dashboard links the run."""
    launchpad = f"{dev.url}/locations/cogo/jobs/process_jobs/playground/setup"
    page.goto(f"{launchpad}?config={quote(ONE_JOB)}", timeout=60_000)
    page.get_by_role("button", name="Launch Run").click(timeout=60_000)
    page.wait_for_url("**/runs/**", timeout=60_000)
    run_page = page.url
    run_id = run_page.split("/runs/")[1][:36]
    page.goto("about:blank")  # the page of a running run is drawn all the time
    dev.until(lambda: dev.queue.list_workers(alive_only=True), "the run has a worker", 90)
    job_id = dev.enqueue(site.url("/"))
    assert ended(dev, job_id)["status"] == "succeeded"
    assert dev.job(job_id)["dagster_run_id"] == run_id
    dev.until(lambda: dev.graphql(RUN, id=run_id)["runOrError"]["status"] == "SUCCESS", "the run succeeded", 120)
    page.goto(run_page, timeout=60_000)
    expect(page.get_by_text("Success").first).to_be_visible(timeout=30_000)
    # The other views omit ops that have not started. A dispatched event, since a tooltip would intercept a click.
    page.get_by_role("img", name="gantt_flat").dispatch_event("click")
    for op in OPS:
        expect(page.get_by_text(op, exact=True).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text(f"browser job {job_id} is now succeeded.")).to_be_visible(timeout=30_000)

    page.goto(f"{dev.web_url}/dashboard/jobs/{job_id}")
    expect(page.locator("h1 .status")).to_have_text("succeeded")
    assert page.locator(".shot img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(page.locator("#facts a", has_text=run_id[-8:])).to_have_attribute("href", f"{dev.url}/runs/{run_id}")


def test_the_definitions_are_those_of_a_clone(dev: Dev) -> None:
    """The wheel has no pyproject.toml, but the same code location, jobs and assets."""
    [repository] = dev.graphql(DEFINITIONS)["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "cogo"
    assert {job["name"] for job in repository["jobs"]} == JOBS | {"__ASSET_JOB"}
    assert {"/".join(asset["assetKey"]["path"]) for asset in repository["assetNodes"]} == ASSETS


def test_a_job_survives_the_termination_and_the_death_of_its_runs(dev: Dev, site: Site) -> None:
    """The sensor ready_jobs launches process_jobs for a job of another process, and a new run after each loss.

    A run that is terminated in the UI requeues its job within seconds, without a lease or a used attempt. The job of a
    run that was killed is recovered after its lease expires, and succeeds; no file is left over.
    """
    job_id = a_slow_job(dev, site, "/lost")
    terminated = dev.job(job_id)
    run = run_of(dev, job_id)
    assert run["jobName"] == "process_jobs"
    assert sorted(step["key"] for step in run["executionPlan"]["steps"]) == OPS
    site.reached.clear()
    answer = dev.graphql(TERMINATE, id=terminated["dagster_run_id"])
    assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
    released = dev.until(lambda: dev.job(job_id)["superseded_attempts"], "the job was requeued", 20)
    assert [(attempt["outcome"], attempt["attempt"]) for attempt in released] == [("released", 1)]

    dev.until(site.reached.is_set, "the browser of another run opened the page", 90)
    killed = dev.job(job_id)
    assert (killed["status"], killed["attempts"]) == ("running", 1)
    assert killed["dagster_run_id"] != terminated["dagster_run_id"]
    dev.until(
        lambda: dev.graphql(RUN, id=terminated["dagster_run_id"])["runOrError"]["status"] == "CANCELED",
        "the terminated run is canceled",
    )
    site.pages["/lost"] = DONE
    [worker] = [row for row in dev.queue.list_workers() if row.document["instance_id"] == killed["instance_id"]]
    os.kill(worker.document["pid"], signal.SIGKILL)

    job = ended(dev, job_id)
    assert (job["status"], job["attempts"]) == ("succeeded", 2)
    assert [attempt["outcome"] for attempt in job["superseded_attempts"]] == ["released", "lost"]
    assert job["dagster_run_id"] not in {terminated["dagster_run_id"], killed["dagster_run_id"]}
    store = FolderStore(dev.home.folder / "artifacts")
    sweep_artifacts(dev.queue, store, grace_seconds=0)
    rows = dev.queue.list_artifacts(max_artifacts=1000)
    assert {row.document["status"] for row in rows} == {"ready"}
    assert all(Path(store.address(row.document["storage_key"])).is_file() for row in rows)


def test_sigint_ends_everything(dev: Dev, site: Site, account: Account) -> None:
    """One SIGINT requeues the running job, ends all processes and stops the database; the working folder is empty."""
    job_id = a_slow_job(dev, site, "/interrupted")
    assert dev.interrupt() == 130
    assert dev.home.processes() == []
    assert list(account.work.iterdir()) == []
    server = EmbeddedServer(dev.home.folder)
    assert not server.status().running
    with server.running():
        transport = PostgresTransport(server.dsn())  # the previous one has lost its connections
        [job] = Queue(transport).get_jobs([UUID(job_id)])
        transport.close()
    assert (job.document["status"], job.document["attempts"], job.document["lease_expires_at"]) == ("queued", 0, None)


def test_the_data_of_the_account_is_deleted(programs: Path, account: Account) -> None:
    """`cogo db destroy` lists and deletes the server's files."""
    destroy(account, programs / "cogo")
