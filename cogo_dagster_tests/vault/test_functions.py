"""Clients of the edge functions with a failing server: requests, retries and fallbacks."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from cogo_dagster.providers.router import EdgeRouter, Router, edge_router
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.supabase.edge_functions import EdgeFailed, EdgeFunction, edge_function
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.vault.build import EdgeSecrets, edge_secrets
from cogo_dagster_tests.doctor.site import Answer, Request, Site, site

CANARY = "canary-7f3a91d2"
PROJECT = {
    "SUPABASE_URL": "https://ref.supabase.example/",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "SUPABASE_ANON_KEY": "anon",
    "QUALITY_NOTIFY_ADMIN_TOKEN": CANARY,
}


def project(**more: str) -> Settings:
    """Return the settings of a project."""
    return load_settings(None, **(PROJECT | more))


def function(there: Site, **more: Any) -> EdgeFunction:
    """Return a function at the server of the test."""
    return EdgeFunction("router-select", there.url, {"apikey": SecretStr(CANARY)}, **({"timeout_seconds": 1.0} | more))


def responding(body: Json, status: int = 200) -> Callable[[Request], Answer]:
    """Return a responder that always returns this document."""
    return lambda _: (status, {"content-type": "application/json"}, json.dumps(body).encode())


def failure(call: Callable[[], Any]) -> str:
    """Return the message of a failing call, and assert that it does not contain a key."""
    with pytest.raises(EdgeFailed) as failed:
        call()
    assert CANARY not in str(failed.value)
    return str(failed.value)


def test_the_headers_of_the_runbook_are_sent() -> None:
    """Both functions get the public keys, and only key-vault gets the admin token."""
    with site(responding({"secret": None})) as there:
        settings = project(
            KEY_VAULT_URL=f"{there.url}/vault", ROUTER_SELECT_URL=there.url, SUPABASE_PUBLISHABLE_KEY="publishable"
        )
        vault, plain = edge_secrets(settings), edge_secrets(project(KEY_VAULT_URL=there.url))
        assert vault
        assert plain
        assert vault.secret("dev", "p:u:n") is plain.secret("dev", "p:u:n") is None
        edge = edge_router(settings)
        assert edge
        failure(lambda: edge.select({"capabilities": ["chat"]}))
    first, second, router = there.requests
    assert (first.method, first.path) == ("POST", "/vault")
    assert json.loads(first.body) == {"environment": "dev", "reference": "p:u:n"}
    assert (first.headers["authorization"], first.headers["apikey"]) == ("Bearer anon", "publishable")
    assert (first.headers["x-admin-token"], second.headers["apikey"]) == (CANARY, "anon")
    assert "x-admin-token" not in router.headers


def test_urls_default_to_those_of_the_project() -> None:
    """SUPABASE_URL may have a trailing slash."""
    found = edge_function(project(), "router-select", None)
    assert found
    assert found.url == "https://ref.supabase.example/functions/v1/router-select"


def test_without_an_anon_key_or_token_the_functions_are_not_used() -> None:
    """The database is used instead."""
    assert edge_router(project(SUPABASE_ANON_KEY="")) is None
    assert edge_secrets(project(SUPABASE_ANON_KEY="")) is None
    assert edge_secrets(project(QUALITY_NOTIFY_ADMIN_TOKEN="")) is None
    assert edge_router(load_settings(SUPABASE_ANON_KEY="anon")) is None


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_server_error_is_retried_once(status: int) -> None:
    """After a second failure the function is not called for a minute."""
    now = [0.0]
    answers: Iterator[Answer] = iter([(status, {}, b"<html>"), (200, {}, b'{"fine": true}')])
    with site(lambda _: next(answers)) as there:
        assert function(there).call({}) == {"fine": True}
    with site(lambda _: (status, {}, b"<html>")) as there:
        edge = function(there, clock=lambda: now[0])
        assert f"returned {status}" in failure(lambda: edge.call({}))
        assert "less than a minute ago" in failure(lambda: edge.call({}))
        assert len(there.requests) == 2
        now[0] = 61
        failure(lambda: edge.call({}))
        assert len(there.requests) == 4


def test_a_timeout_is_retried_once() -> None:
    """The call fails after two attempts."""
    released = threading.Event()

    def answer(_: Request) -> Answer:
        released.wait(20)
        return 200, {}, b"{}"

    with site(answer) as there:
        message = failure(lambda: function(there, timeout_seconds=0.2).call({}))
        released.set()
    assert "did not respond (ReadTimeout)" in message


def test_a_rejection_is_not_retried() -> None:
    """A retry after 401, 403 or 404 would not change the result."""
    with site(responding({"code": "ADMIN_TOKEN", "error": "no"}, 403)) as there:
        assert "returned 403 (ADMIN_TOKEN)" in failure(lambda: function(there).call({}))
        assert len(there.requests) == 1


def test_a_redirect_is_not_followed() -> None:
    """The keys would be sent to the target."""
    with site(responding({})) as elsewhere:
        with site(lambda _: (307, {"location": elsewhere.url}, b"")) as there:
            assert "returned 307" in failure(lambda: function(there).call({}))
        assert elsewhere.requests == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'"' + b"x" * 1_100_000 + b'"'])
def test_an_invalid_body_is_a_failure(body: bytes) -> None:
    """A body that is not JSON, or too long, is rejected."""
    with site(lambda _: (200, {}, body)) as there:
        failure(lambda: function(there).call({}))


@pytest.mark.parametrize(
    "body", [None, [], {}, {"secret": "plain"}, {"secret": {"ciphertext": "gAAAA"}}, {"secret": 1}]
)
def test_an_invalid_secret_is_a_failure(body: Json) -> None:
    """The vault then reads from the database."""
    with site(responding(body)) as there:
        failure(lambda: EdgeSecrets(function(there)).secret("dev", "p:u:n"))


def test_the_router_falls_back_to_the_database(transport: Transport) -> None:
    """A failing function, or an invalid response, gives the result of the database."""
    plain = Router(transport)
    plain.add("one", "chat", cost=1)
    expected = plain.select(["chat"])
    assert expected.provider == "one"
    for answer in (responding({"provider": "one"}), responding({}, 500)):
        with site(answer) as there:
            assert Router(transport, EdgeRouter(function(there))).select(["chat"]) == expected
            assert there.requests
    with site(responding(expected.document | {"provider": "the edge's"})) as there:
        assert Router(transport, EdgeRouter(function(there))).select(["chat"]).provider == "the edge's"


def test_keys_are_not_in_the_repr() -> None:
    """The repr contains neither headers nor the token."""
    assert CANARY not in repr(edge_secrets(project()))
