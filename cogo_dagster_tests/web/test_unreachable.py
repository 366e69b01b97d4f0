"""The web server while its database is unreachable or unresponsive, or has ended idle sessions."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.web import backend
from cogo_dagster.web.app import create_app
from cogo_dagster.web.serve import listening, serving
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.web.conftest import TOKEN
from cogo_dagster_tests.worker.bench import eventually
from cogo_dagster_tests.worker.faults import Proxy, proxied

PROBES = ("/readyz", "/metrics")

SOON_SECONDS = 5.0
"""A probe responds within 3 s; a machine that runs other tests may need longer."""


@pytest.fixture(params=["postgres", "supabase"])
def proxy(request: pytest.FixtureRequest, dsn: str) -> Iterator[Proxy]:
    """Put a proxy in front of the test's database, or of a Supabase project on it."""
    with ExitStack() as stack:
        if request.param == "supabase":
            stand_in: StandIn = request.getfixturevalue("stand_in")
            yield stack.enter_context(proxied(stand_in.url))
        else:
            yield stack.enter_context(proxied(dsn))


@pytest.fixture
def behind_proxy(proxy: Proxy, tmp_path: Path) -> Settings:
    """Return settings that connect through the proxy."""
    where: dict[str, Any] = (
        {"SUPABASE_URL": proxy.dsn, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE, "COGO_DATABASE_URL": ""}
        if proxy.dsn.startswith("http")
        else {"COGO_DATABASE_URL": proxy.dsn}
    )
    return load_settings(**where, COGO_HOME=str(tmp_path / "home"), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE="")


@pytest.fixture
def client(behind_proxy: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Run a server as `cogo web` does, with a shorter read timeout, and return a client for it."""
    monkeypatch.setattr(backend, "READ_TIMEOUT_SECONDS", 4.0)
    with (
        listening("127.0.0.1", 0) as listener,
        serving(create_app(behind_proxy), listener) as url,
        httpx.Client(base_url=url, timeout=30, headers={"x-admin-token": TOKEN}) as client,
    ):
        yield client


def test_probes_respond_while_the_database_is_unresponsive(client: httpx.Client, proxy: Proxy) -> None:
    """With fifty pages pending, /healthz responds, /readyz and /metrics return 503 in time, and the server recovers."""
    assert client.get("/readyz").status_code == 200
    proxy.silence(new_too=True)
    with ThreadPoolExecutor(50) as readers:
        pages = [readers.submit(client.get, "/dashboard/jobs") for _ in range(50)]
        for path, status in (("/healthz", 200), *((path, 503) for path in PROBES)):
            began = time.monotonic()
            assert client.get(path).status_code == status, path
            assert time.monotonic() - began < SOON_SECONDS, path
        assert {page.result().status_code for page in pages} == {503}
    proxy.restore()
    eventually(lambda: client.get("/readyz").status_code == 200, "the server became ready again")


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("seen_before", [False, True])
def test_probes_respond_in_time_while_the_database_is_unreachable(
    client: httpx.Client, proxy: Proxy, path: str, seen_before: bool
) -> None:
    """A probe returns 503 within seconds, whether or not the database was reachable before."""
    if seen_before:
        assert client.get(path).status_code == 200
    proxy.cut()
    for _ in range(2):
        began = time.monotonic()
        assert client.get(path).status_code == 503
        assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize("proxy", ["postgres"], indirect=True)
def test_ended_idle_sessions_cause_no_error(client: httpx.Client, owner: Owner) -> None:
    """The first request after the database has ended idle sessions succeeds."""
    owner.execute(f"alter database {owner.info.dbname} set idle_session_timeout = '200ms'")
    connected = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo'"
    for path in ("/readyz", "/api/jobs", "/metrics", "/dashboard/jobs"):
        assert client.get(path).status_code == 200, path
        eventually(lambda: owner.execute(connected).fetchone() == (0,), "the database ended the sessions")
