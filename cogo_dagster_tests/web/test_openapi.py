"""Rules of all routes: the document lists them, and bodies, hosts and unknown paths are checked."""

import httpx
import pytest

from cogo_dagster.web.headers import MAX_BODY_BYTES
from cogo_dagster_tests.web.conftest import Site


def test_the_document_lists_every_api_route(site: Site) -> None:
    """The document has the routes of the API and none of the dashboard."""
    document = site.get("/api/openapi.json")
    assert {"/metrics", "/healthz", "/readyz", "/api/jobs", "/api/dlq/replay"} <= set(document["paths"])
    assert not [path for path in document["paths"] if path.startswith("/dashboard")]


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/static/x.css", "/traces/index.html"])
def test_unknown_paths_are_not_found(site: Site, path: str) -> None:
    """An unknown path returns 404 without a Server header."""
    answer = site.client.get(path)
    assert answer.status_code == 404
    assert "server" not in answer.headers


def test_a_large_body_is_rejected(site: Site) -> None:
    """A body is rejected by its Content-Length, or when it exceeds the limit, before authentication."""
    path = f"{site.url}/api/jobs/retry"
    assert httpx.post(path, content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert httpx.post(path, content=iter([b" " * 100_000] * 30)).status_code == 413
    assert site.post("/api/jobs/retry", {})["dry_run"] is True


def test_an_unknown_host_is_rejected(site: Site) -> None:
    """A request with a foreign Host header gets 400 or 421 (DNS rebinding)."""
    for host in ("evil.example", "127.0.0.1.evil.example:80", "[", "localhost@evil"):
        answer = httpx.get(f"{site.url}/healthz", headers={"host": host})
        assert answer.status_code in (400, 421), host
    assert httpx.get(f"{site.url}/healthz", headers={"host": "localhost:1"}).status_code == 200
