"""The OpenAPI document is true: whatever it allows is answered as it says, and nothing else is."""

import re
from collections.abc import Iterator
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

from cogo_dagster.web import access
from cogo_dagster.web.headers import MOST_BYTES
from cogo_dagster_tests.web.conftest import TOKEN, Serve, Site
from cogo_dagster_tests.web.scene import Scene

EXAMPLES = 25


@pytest.fixture
def document(serve: Serve, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseSchema]:
    """Load the document of a server that lets wrong tokens be tried without end."""
    monkeypatch.setattr(access, "_GUESSES", 1_000_000)
    with serve() as site:
        yield from_url(f"{site.url}/api/openapi.json")


@pytest.mark.timeout(900)
def test_every_address_answers_as_the_document_says(document: BaseSchema) -> None:
    """Statuses, types and shapes of answers; refusals of what it forbids; never a server's fault."""
    operations = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    found = [str(group) for operation in operations for mode in GenerationMode if (group := fuzz(operation, mode))]
    assert not found, "\n\n".join(found)
    assert len(operations) > 20


def fuzz(operation: "APIOperation[Any, Any, Any, Any]", mode: GenerationMode) -> FailureGroup | None:
    """Ask one address with what the document allows, or with what it forbids; return what is wrong."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def asked(case: "schemathesis.Case[Any]") -> None:
        # JSON knows no difference between 5 and 5.0; the generator of wrong values does.
        assume(mode is GenerationMode.POSITIVE or not re.search(r"\d\.0\b", str(case.body)))
        # Without a token on purpose: that is what is wrong with the request.
        bare = mode is GenerationMode.NEGATIVE and "x-admin-token" not in (case.headers or {})
        case.call_and_validate(headers={} if bare else {"x-admin-token": TOKEN})

    try:
        asked()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with it
    except FailureGroup as group:
        return group
    return None


def test_the_document_names_every_address(site: Site) -> None:
    """The runbook's among them; the dashboard's pages are not for programs."""
    document = site.get("/api/openapi.json")
    assert {"/metrics", "/healthz", "/readyz", "/api/jobs", "/api/dlq/replay"} <= set(document["paths"])
    assert not [path for path in document["paths"] if path.startswith("/dashboard")]


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/static/x.css", "/traces/index.html"])
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    """404, without a word about the server."""
    answer = site.client.get(path)
    assert answer.status_code == 404
    assert "server" not in answer.headers


def test_a_body_without_end_is_refused(site: Site) -> None:
    """By its declared length, or once it is longer: bodies are read before a token is asked for."""
    path = f"{site.url}/api/jobs/retry"
    assert httpx.post(path, content=b" " * (MOST_BYTES + 1)).status_code == 413
    assert httpx.post(path, content=iter([b" " * 100_000] * 30)).status_code in (401, 422)
    assert site.post("/api/jobs/retry", {})["dry_run"] is True


def test_a_host_that_is_not_ours_is_refused(site: Site) -> None:
    """A name that somebody else's DNS leads here gets nothing (421)."""
    for host in ("evil.example", "127.0.0.1.evil.example:80", "[", "localhost@evil"):
        answer = httpx.get(f"{site.url}/healthz", headers={"host": host})
        assert answer.status_code in (400, 421), host
    assert httpx.get(f"{site.url}/healthz", headers={"host": "localhost:1"}).status_code == 200
