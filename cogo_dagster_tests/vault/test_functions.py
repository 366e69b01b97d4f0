"""The clients of the edge functions against a real server that misbehaves: what is sent, and when they give up."""

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
    """Read the settings of a project."""
    return load_settings(None, **(PROJECT | more))


def function(there: Site, **more: Any) -> EdgeFunction:
    """Return a function at a test's server."""
    return EdgeFunction("router-select", there.url, {"apikey": SecretStr(CANARY)}, **({"timeout_seconds": 1.0} | more))


def answering(body: Json, status: int = 200) -> Callable[[Request], Answer]:
    """Always answer with a document."""
    return lambda _: (status, {"content-type": "application/json"}, json.dumps(body).encode())


def failure(call: Callable[[], Any]) -> str:
    """Return the sentence of a call that must fail, without any key in it."""
    with pytest.raises(EdgeFailed) as failed:
        call()
    assert CANARY not in str(failed.value)
    return str(failed.value)


def test_the_runbooks_headers_are_sent() -> None:
    """The anon key as bearer, the publishable key as apikey, else the anon key; the admin token to the vault only."""
    with site(answering({"secret": None})) as there:
        settings = project(
            KEY_VAULT_URL=f"{there.url}/vault", ROUTER_SELECT_URL=there.url, SUPABASE_PUBLISHABLE_KEY="publishable"
        )
        vault, plain = edge_secrets(settings), edge_secrets(project(KEY_VAULT_URL=there.url))
        assert vault
        assert plain
        assert vault.secret("dev", "p:u:n") is plain.secret("dev", "p:u:n") is None
        chooser = edge_router(settings)
        assert chooser
        failure(lambda: chooser.select({"capabilities": ["chat"]}))
    first, second, router = there.requests
    assert (first.method, first.path) == ("POST", "/vault")
    assert json.loads(first.body) == {"environment": "dev", "reference": "p:u:n"}
    assert (first.headers["authorization"], first.headers["apikey"]) == ("Bearer anon", "publishable")
    assert (first.headers["x-admin-token"], second.headers["apikey"]) == (CANARY, "anon")
    assert "x-admin-token" not in router.headers


def test_addresses_default_to_the_projects() -> None:
    """With or without a slash at the end of SUPABASE_URL."""
    found = edge_function(project(), "router-select", None)
    assert found
    assert found.url == "https://ref.supabase.example/functions/v1/router-select"


def test_without_an_anon_key_or_a_token_nothing_is_asked() -> None:
    """The database path serves."""
    assert edge_router(project(SUPABASE_ANON_KEY="")) is None
    assert edge_secrets(project(SUPABASE_ANON_KEY="")) is None
    assert edge_secrets(project(QUALITY_NOTIFY_ADMIN_TOKEN="")) is None
    assert edge_router(load_settings(SUPABASE_ANON_KEY="anon")) is None


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_trouble_is_tried_once_more(status: int) -> None:
    """And then it is over, and the function is left alone for a minute."""
    now = [0.0]
    answers: Iterator[Answer] = iter([(status, {}, b"<html>"), (200, {}, b'{"fine": true}')])
    with site(lambda _: next(answers)) as there:
        assert function(there).call({}) == {"fine": True}
    with site(lambda _: (status, {}, b"<html>")) as there:
        edge = function(there, clock=lambda: now[0])
        assert f"answers {status}" in failure(lambda: edge.call({}))
        assert "a moment ago" in failure(lambda: edge.call({}))
        assert len(there.requests) == 2
        now[0] = 61
        failure(lambda: edge.call({}))
        assert len(there.requests) == 4


def test_who_does_not_answer_in_time_is_given_up() -> None:
    """After two tries."""
    let_go = threading.Event()

    def answer(_: Request) -> Answer:
        let_go.wait(20)
        return 200, {}, b"{}"

    with site(answer) as there:
        sentence = failure(lambda: function(there, timeout_seconds=0.2).call({}))
        let_go.set()
    assert "did not respond (ReadTimeout)" in sentence


def test_a_refusal_is_not_repeated() -> None:
    """401, 403, 404: asking again changes nothing."""
    with site(answering({"code": "ADMIN_TOKEN", "error": "no"}, 403)) as there:
        assert "returned 403 (ADMIN_TOKEN)" in failure(lambda: function(there).call({}))
        assert len(there.requests) == 1


def test_a_redirect_is_not_followed() -> None:
    """The keys would go along."""
    with site(answering({})) as elsewhere:
        with site(lambda _: (307, {"location": elsewhere.url}, b"")) as there:
            assert "answers 307" in failure(lambda: function(there).call({}))
        assert elsewhere.requests == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'"' + b"x" * 1_100_000 + b'"'])
def test_what_is_no_document_is_no_answer(body: bytes) -> None:
    """Nor one that is far too long."""
    with site(lambda _: (200, {}, body)) as there:
        failure(lambda: function(there).call({}))


@pytest.mark.parametrize(
    "body", [None, [], {}, {"secret": "plain"}, {"secret": {"ciphertext": "gAAAA"}}, {"secret": 1}]
)
def test_what_is_no_secret_is_no_answer(body: Json) -> None:
    """So the database is asked."""
    with site(answering(body)) as there:
        failure(lambda: EdgeSecrets(function(there)).secret("dev", "p:u:n"))


def test_the_router_falls_back_to_the_database_with_the_same_answer(transport: Transport) -> None:
    """Where the function is away, or answers something else."""
    plain = Router(transport)
    plain.add("one", "chat", cost=1)
    expected = plain.select(["chat"])
    assert expected.provider == "one"
    for answer in (answering({"provider": "liar"}), answering({}, 500)):
        with site(answer) as there:
            assert Router(transport, EdgeRouter(function(there))).select(["chat"]) == expected
            assert there.requests
    with site(answering(expected.document | {"provider": "the edge's"})) as there:
        assert Router(transport, EdgeRouter(function(there))).select(["chat"]).provider == "the edge's"


def test_a_function_does_not_show_its_keys() -> None:
    """Neither headers nor token."""
    assert CANARY not in repr(edge_secrets(project()))
