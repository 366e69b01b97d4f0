"""The web server while its database is away, silent, or has ended the sessions that idled."""

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
"""A probe answers within 3 s; a machine busy with other tests may need a little longer."""


@pytest.fixture(params=["postgres", "supabase"])
def proxy(request: pytest.FixtureRequest, dsn: str) -> Iterator[Proxy]:
    """Stand before the test's database, or before a project on it."""
    with ExitStack() as stack:
        if request.param == "supabase":
            stand_in: StandIn = request.getfixturevalue("stand_in")
            yield stack.enter_context(proxied(stand_in.url))
        else:
            yield stack.enter_context(proxied(dsn))


@pytest.fixture
def distant(proxy: Proxy, tmp_path: Path) -> Settings:
    """Return settings that lead through the proxy."""
    where: dict[str, Any] = (
        {"SUPABASE_URL": proxy.dsn, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE, "COGO_DATABASE_URL": ""}
        if proxy.dsn.startswith("http")
        else {"COGO_DATABASE_URL": proxy.dsn}
    )
    return load_settings(**where, COGO_HOME=str(tmp_path / "home"), QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN, METRICS_BASE="")


@pytest.fixture
def client(distant: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Run the server as `cogo web` does, with less patience, and talk to it."""
    monkeypatch.setattr(backend, "READ_SECONDS", 4.0)
    with (
        listening("127.0.0.1", 0) as listener,
        serving(create_app(distant), listener) as url,
        httpx.Client(base_url=url, timeout=30, headers={"x-admin-token": TOKEN}) as client,
    ):
        yield client


def test_silence_takes_neither_the_threads_nor_the_probes(client: httpx.Client, proxy: Proxy) -> None:
    """While fifty pages are asked for, the server lives, says within seconds that it is not ready, and recovers."""
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
    eventually(lambda: client.get("/readyz").status_code == 200, "the server was ready again")


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("seen_before", [False, True])
def test_a_probe_answers_soon_though_the_database_is_away(
    client: httpx.Client, proxy: Proxy, path: str, seen_before: bool
) -> None:
    """At once after it went, or when it was never there."""
    if seen_before:
        assert client.get(path).status_code == 200
    proxy.cut()
    for _ in range(2):
        began = time.monotonic()
        assert client.get(path).status_code == 503
        assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize("proxy", ["postgres"], indirect=True)
def test_sessions_that_idled_away_cost_no_answer(client: httpx.Client, owner: Owner) -> None:
    """The first request after the database has ended them is served like any other."""
    owner.execute(f"alter database {owner.info.dbname} set idle_session_timeout = '200ms'")
    connected = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo'"
    for path in ("/readyz", "/api/jobs", "/metrics", "/dashboard/jobs"):
        assert client.get(path).status_code == 200, path
        eventually(lambda: owner.execute(connected).fetchone() == (0,), "the server ended the sessions")
