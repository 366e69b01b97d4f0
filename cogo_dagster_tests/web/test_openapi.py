"""The OpenAPI document matches the API: valid requests get the documented responses, invalid ones are rejected."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.openapi.loaders import from_url
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cogo_dagster.web import access
from cogo_dagster.web.headers import MAX_BODY_BYTES
from cogo_dagster_tests.fuzz.web import UNDESCRIBED
from cogo_dagster_tests.web.conftest import TOKEN, Serve, Site
from cogo_dagster_tests.web.population import Population


@pytest.fixture
def document(serve: Serve, populated: Population, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseSchema]:
    """Load the document of a server without a rate limit on wrong tokens."""
    monkeypatch.setattr(access, "_MAX_FAILURES", 1_000_000)
    with serve() as site:
        yield from_url(f"{site.url}/api/openapi.json")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_every_route_responds_as_documented(document: BaseSchema, examples: int) -> None:
    """Responses match the documented statuses and schemas, invalid requests are rejected, and none returns 500."""
    operations = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    found = [
        str(group)
        for operation, mode in product(operations, GenerationMode)
        if (group := fuzz(operation, mode, examples))
    ]
    assert not found, "\n\n".join(found)
    assert len(operations) > 20


def fuzz(operation: "APIOperation[Any, Any, Any, Any]", mode: GenerationMode, examples: int) -> FailureGroup | None:
    """Call a route with generated valid or invalid requests; return the failures."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def call(case: "schemathesis.Case[Any]") -> None:
        # JSON does not distinguish 5 from 5.0, but the generator of invalid values does.
        assume(mode is GenerationMode.POSITIVE or not re.search(r"\d\.0\b", str(case.body)))
        # A missing token may be what makes a request invalid.
        bare = mode is GenerationMode.NEGATIVE and "x-admin-token" not in (case.headers or {})
        excluded: Any = [positive_data_acceptance] if operation.label in UNDESCRIBED else []
        case.call_and_validate(headers={} if bare else {"x-admin-token": TOKEN}, excluded_checks=excluded)

    try:
        call()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # the route accepts any request
    except FailureGroup as group:
        return group
    return None


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
