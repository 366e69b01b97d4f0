"""The API and the dashboard over a Supabase project: the queue over REST."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.queue.model import JobError
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.web.app import create_app
from cogo_dagster.web.serve import listening, serving
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN
from cogo_dagster_tests.web.population import failing


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
