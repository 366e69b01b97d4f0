"""The API and the dashboard over a Supabase project: the queue over REST, artifacts in Storage."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.queue.model import JobError
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.web.app import create_app
from cogo_dagster.web.serve import listening, serving
from cogo_dagster_tests.queue.steps import running_job
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN
from cogo_dagster_tests.web.population import PIXEL, failing, with_files
from cogo_dagster_tests.web.tab import watch
from cogo_dagster_tests.web.test_browser import log_in


@pytest.fixture
def keys_only(stand_in: StandIn, tmp_path: Path) -> Settings:
    """Return settings without a Postgres URL."""
    return load_settings(
        COGO_DATABASE_URL="",
        SUPABASE_URL=stand_in.url,
        SUPABASE_SERVICE_ROLE_KEY=SERVICE_ROLE,
        COGO_HOME=str(tmp_path / "home"),
        QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN,
        METRICS_BASE="",
    )


@pytest.fixture
def over_rest(keys_only: Settings) -> Iterator[Application]:
    """Open the application as commands do."""
    with open_application(keys_only) as application:
        yield application


@pytest.fixture
def url(keys_only: Settings) -> Iterator[str]:
    """Run a server as `cogo web` does."""
    with listening("127.0.0.1", 0) as listener, serving(create_app(keys_only), listener) as url:
        yield url


def test_an_artifact_is_signed_on_request_and_shown_on_its_jobs_page(
    over_rest: Application, stand_in: StandIn, url: str, browser: Browser, tmp_path: Path
) -> None:
    """The API redirects to Storage; a client gets the bytes there, and a browser shows the screenshot."""
    job_id = with_files(over_rest.queue, over_rest.store, running_job(over_rest.queue), tmp_path)
    with httpx.Client(base_url=url, headers=ADMIN) as client:
        rows = client.get(f"/api/jobs/{job_id}").json()["artifacts"]
        picture = next(row for row in rows if row["name"] == "screenshot.png")
        led = client.get(f"/api/artifacts/{picture['id']}/content")
        assert (led.status_code, led.headers["location"].startswith(f"{stand_in.url}/storage/v1/object/sign/")) == (
            303,
            True,
        )
    assert httpx.get(led.headers["location"]).content == PIXEL
    errors: list[str] = []
    page = browser.new_page(base_url=url)
    watch(page, errors)
    log_in(page)
    page.goto(f"/dashboard/jobs/{job_id}")
    shown = page.locator("img[src*='/content']")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.close()
    assert errors == []


def test_reads_and_actions_work_over_rest(over_rest: Application, url: str) -> None:
    """Every read succeeds, and an action of an operator reaches the queue."""
    dead = failing(over_rest.queue, JobError("dns", "The name does not resolve."))
    with httpx.Client(base_url=url, headers=ADMIN) as client:
        for path in ("/healthz", "/readyz", "/metrics", "/api/jobs", "/api/dlq", "/api/workers", "/api/alerts"):
            assert client.get(path).status_code == 200, path
        for path in ("local", "jobs", "dlq", "workers", "alerts", "log", f"jobs/{dead}"):
            assert client.get(f"/dashboard/{path}").status_code == 200, path
        assert client.get("/api/metrics/gate/summary").json()["q1"]["verdict"] == "not_computed"
        assert client.post(f"/api/jobs/{dead}/retry").status_code == 200
    assert [job.document["status"] for job in over_rest.queue.list_jobs()] == ["queued"]
