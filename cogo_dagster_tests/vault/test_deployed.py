"""The edge functions as deployed, under Deno, with a project on a real database: authorization and responses."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from cogo_dagster.providers.router import Router, edge_router
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import Settings, load_settings
from cogo_dagster.vault.access_tokens import ROLES, AccessTokens
from cogo_dagster.vault.build import edge_secrets
from cogo_dagster.vault.key_ring import KeyRing, new_key
from cogo_dagster.vault.key_vault import KeyVault
from cogo_dagster_tests.cli.terminal import terminal
from cogo_dagster_tests.servers import Major, TestServer
from cogo_dagster_tests.supabase import keys
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.vault.deno import deno, served
from cogo_dagster_tests.vault.vaults import TOKEN

ADMIN = "c" * 64
CANARY = "canary-7f3a91d2"
KINDS = {
    "legacy": ({"SUPABASE_ANON_KEY": keys.ANON, "SUPABASE_SERVICE_ROLE_KEY": keys.SERVICE_ROLE}, keys.ANON),
    "new": (
        {
            "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": keys.PUBLISHABLE}),
            "SUPABASE_SECRET_KEYS": json.dumps({"default": keys.SECRET_KEY}),
        },
        keys.PUBLISHABLE,
    ),
}


@dataclass(frozen=True)
class Edge:
    """A project with both functions.

    Attributes:
        public: The public key of the project.
    """

    dsn: str
    stand_in: StandIn
    router: str
    vault: str
    public: str

    def headers(self, **more: str) -> dict[str, str]:
        """Return the headers of the runbook."""
        return {"authorization": f"Bearer {self.public}", "apikey": self.public} | more

    def settings(self, **more: str) -> Settings:
        """Return the settings of a client of the functions."""
        given = {
            "SUPABASE_URL": self.stand_in.url,
            "SUPABASE_SERVICE_ROLE_KEY": keys.SERVICE_ROLE,
            "SUPABASE_ANON_KEY": self.public,
            "QUALITY_NOTIFY_ADMIN_TOKEN": ADMIN,
            "ROUTER_SELECT_URL": self.router,
            "KEY_VAULT_URL": self.vault,
        }
        return load_settings(None, **(given | more))


@pytest.fixture(scope="module", params=KINDS)
def edge(request: pytest.FixtureRequest, servers: Callable[[Major], TestServer]) -> Iterator[Edge]:
    """Serve both functions for a project, with each kind of keys."""
    own, public = KINDS[request.param]
    with servers(18).clone("migrated") as dsn, supabase(dsn) as stand_in:
        environment = own | {"SUPABASE_URL": stand_in.url, "QUALITY_NOTIFY_ADMIN_TOKEN": ADMIN}
        with served("router-select", environment) as router, served("key-vault", environment) as vault:
            yield Edge(dsn, stand_in, router, vault, public)


@pytest.fixture
def transport(edge: Edge) -> Iterator[Transport]:
    """Return a transport to the same database without the functions, after deleting their data."""
    with psycopg.connect(edge.dsn, autocommit=True) as connection:
        connection.execute(
            "delete from public.secrets; delete from public.providers; delete from public.provider_health"
        )
    transport = PostgresTransport(edge.dsn, role="service_role")
    yield transport
    transport.close()


@pytest.fixture
def stored(transport: Transport) -> KeyVault:
    """Return a vault with one secret."""
    ring = KeyRing.read(new_key(), "the test")
    vault = KeyVault(transport, "dev", lambda: ring)
    vault.put(TOKEN, CANARY)
    return vault


def request_secret(edge: Edge, body: Json, **more: str) -> httpx.Response:
    """Send a request to the function key-vault."""
    return httpx.post(edge.vault, json=body, headers=edge.headers(**more), timeout=30)


def test_the_router_returns_the_same_over_the_edge_function(edge: Edge, transport: Transport) -> None:
    """The results are equal, also if no provider can be selected."""
    direct, over_edge = Router(transport), Router(transport, edge_router(edge.settings()))
    assert over_edge.select(["chat"]) == direct.select(["chat"])
    for provider, cost in (("one", 1.5), ("two", 2)):
        direct.add(provider, "chat", cost=cost)
    result = {"provider": "one", "capability": "chat", "healthy": False, "latency_ms": 1.25, "error": "It answers 503."}
    transport.call("record_provider_health", {"results": [result]})
    assert edge_router(edge.settings())
    answer = over_edge.select(["chat"])
    assert answer == direct.select(["chat"])
    assert answer.document["provider"] == "two"
    assert over_edge.select(["chat"], 0) == direct.select(["chat"], 0)


def test_a_single_capability_is_accepted(edge: Edge, transport: Transport) -> None:
    """`capability` is accepted besides `capabilities`."""
    Router(transport).add("one", "chat")
    answer = httpx.post(edge.router, json={"capability": "chat"}, headers=edge.headers(), timeout=30)
    assert (answer.status_code, answer.json()["provider"]) == (200, "one")
    assert answer.headers["cache-control"] == "no-store"


def test_the_vault_reads_from_the_function(edge: Edge, stored: KeyVault) -> None:
    """The function is called first, and its ciphertext is decrypted by the client."""
    over_edge = KeyVault(stored.transport, "dev", stored.keys, edge=edge_secrets(edge.settings()))
    found = over_edge.find(TOKEN)
    assert found
    assert (found.value, found.source, found.version) == (CANARY, "edge function", 1)
    assert over_edge.get("quality:notify:other") is None


def test_the_database_is_the_fallback(edge: Edge, stored: KeyVault) -> None:
    """A wrong token or an unreachable function falls back to the database."""
    for more in ({"QUALITY_NOTIFY_ADMIN_TOKEN": "d" * 64}, {"KEY_VAULT_URL": "http://127.0.0.1:1/"}):
        found = KeyVault(stored.transport, "dev", stored.keys, edge=edge_secrets(edge.settings(**more))).find(TOKEN)
        assert found
        assert (found.value, found.source) == (CANARY, "database")


def test_the_function_returns_ciphertext_only(edge: Edge, stored: KeyVault) -> None:
    """The function has no key."""
    answer = request_secret(edge, {"environment": "dev", "reference": TOKEN}, **{"x-admin-token": ADMIN})
    assert answer.status_code == 200
    assert answer.json()["secret"]["ciphertext"].startswith("gAAAA")
    assert CANARY not in answer.text


@pytest.mark.parametrize("token", [None, "", "c" * 63, "c" * 65, "C" * 64, keys.PUBLISHABLE])
def test_the_public_keys_give_no_access_to_secrets(edge: Edge, stored: KeyVault, token: str | None) -> None:
    """Without a valid admin token the response does not reveal whether a secret exists."""
    sent = {} if token is None else {"x-admin-token": token}
    existing, absent = (
        request_secret(edge, {"environment": "dev", "reference": reference}, **sent)
        for reference in (TOKEN, "quality:notify:other")
    )
    assert (existing.status_code, existing.json()["code"]) == (403, "ADMIN_TOKEN")
    assert existing.text == absent.text


def test_a_named_token_with_the_role_admin_is_accepted(edge: Edge, stored: KeyVault) -> None:
    """Other roles and revoked tokens are rejected."""
    tokens, body = AccessTokens(stored.transport), {"environment": "dev", "reference": TOKEN}
    created = {role: tokens.create(f"{role}-{uuid4().hex}", role) for role in ROLES}
    statuses = {
        role: request_secret(edge, body, **{"x-admin-token": token}).status_code for role, (token, _) in created.items()
    }
    assert statuses == {"viewer": 403, "operator": 403, "admin": 200}
    token, row = created["admin"]
    tokens.revoke(row.document["name"])
    assert request_secret(edge, body, **{"x-admin-token": token}).status_code == 403


def test_without_an_admin_token_all_requests_are_rejected(edge: Edge, stored: KeyVault) -> None:
    """An empty token is rejected too."""
    own = next(own for own, public in KINDS.values() if public == edge.public)
    with served("key-vault", own | {"SUPABASE_URL": edge.stand_in.url}) as url:
        for token in ("", ADMIN):
            sent = edge.headers(**{"x-admin-token": token})
            answer = httpx.post(url, json={"environment": "dev", "reference": TOKEN}, headers=sent, timeout=30)
            assert answer.status_code == 403


@pytest.mark.parametrize("which", ["router", "vault"])
def test_a_key_of_the_project_is_required(edge: Edge, which: str) -> None:
    """Either header suffices, because the runtime may check only one of them."""
    url = getattr(edge, which)
    for sent in (
        {},
        {"apikey": "sb_publishable_other"},
        {"authorization": f"Bearer {keys.legacy_key('anon', secret='x' * 32)}"},
    ):
        assert httpx.post(url, json={}, headers=sent | {"x-admin-token": ADMIN}, timeout=30).status_code == 401
    for sent in ({"apikey": edge.public}, {"authorization": f"Bearer {edge.public}"}):
        assert httpx.post(url, json={}, headers=sent | {"x-admin-token": ADMIN}, timeout=30).status_code == 400


@pytest.mark.parametrize("which", ["router", "vault"])
def test_only_small_json_objects_are_accepted(edge: Edge, which: str) -> None:
    """Other methods, other bodies and long bodies are rejected with 405, 400 and 413."""
    url, sent = getattr(edge, which), edge.headers(**{"x-admin-token": ADMIN})
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        rejected = httpx.request(method, url, headers=sent, timeout=30)
        assert (rejected.status_code, rejected.headers["allow"]) == (405, "POST")
    for body in (b"", b"{", b"[]", b"null", b'"text"', b"\xff"):
        assert httpx.post(url, content=body, headers=sent, timeout=30).status_code == 400
    assert httpx.post(url, content=b" " * 20_000, headers=sent, timeout=30).status_code == 413
    assert httpx.post(url, content=iter([b" " * 10_000] * 2), headers=sent, timeout=30).status_code == 413


@pytest.mark.parametrize(
    "body",
    [{}, {"environment": "dev"}, {"environment": "dev", "reference": "x"}, {"environment": 5, "reference": {"a": 1}}],
)
def test_an_invalid_reference_is_rejected_by_the_database(edge: Edge, body: dict[str, Any]) -> None:
    """The response has the code of the SQL function."""
    answer = request_secret(edge, body, **{"x-admin-token": ADMIN})
    assert (answer.status_code, answer.json()["code"]) == (400, "CQ005")


def test_an_unavailable_database_is_reported(edge: Edge) -> None:
    """A rejected service key is 502, an unreachable database 504; neither reveals details."""
    own = {"SUPABASE_ANON_KEY": edge.public, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_another_project"}
    for url, status in ((edge.stand_in.url, 502), ("http://127.0.0.1:1", 504)):
        with served("router-select", own | {"SUPABASE_URL": url}) as function_url:
            answer = httpx.post(function_url, json={"capability": "chat"}, headers=edge.headers(), timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (status, "DATABASE")
        assert "sb_secret" not in answer.text


def test_commands_use_the_functions(edge: Edge, stored: KeyVault, tmp_path: Path) -> None:
    """The commands work with the variables of the runbook and the REST API of the project only."""
    [key] = stored.keys().key_ids
    given = {
        "SUPABASE_URL": edge.stand_in.url,
        "SUPABASE_SERVICE_ROLE_KEY": keys.SERVICE_ROLE,
        "SUPABASE_ANON_KEY": edge.public,
        "ROUTER_SELECT_URL": edge.router,
        "KEY_VAULT_URL": edge.vault,
        "COGO_VAULT_KEYS": new_key(),
    }
    cogo = terminal(tmp_path, None, given)
    cogo.ok("router", "add", "one", "--capability", "chat", "--cost", "2")
    selected = cogo.ok("router", "select", "--capability", "chat")
    assert selected == cogo.ok("router", "select", "--capability", "chat", ROUTER_SELECT_URL="http://127.0.0.1:1/")
    assert selected["provider"] == "one"
    set_ = cogo.run("vault", "set", "quality", "notify", "admin_token", CANARY, "dev", "false", "--json")
    assert (set_.code, set_.json["key_id"] == key) == (0, False)
    # The admin token is set as a variable, which overrides its own reference: read another reference.
    cogo.ok("vault", "set", "one", "more", "secret", CANARY)
    found = cogo.ok("vault", "get", "one:more:secret", "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN=ADMIN)
    assert (found["value"], found["source"]) == (CANARY, "edge function")
    assert cogo.ok("vault", "get", "one:more:secret", "--reveal")["source"] == "database"


@pytest.mark.parametrize("command", [("check", "--no-remote"), ("lint",), ("fmt", "--check", "--line-width", "120")])
def test_the_functions_pass_the_checks_of_deno(command: tuple[str, ...]) -> None:
    """Types, lint rules and format are checked offline."""
    checked = deno(*command, "router-select/index.ts", "key-vault/index.ts", "_shared/edge.ts")
    assert checked.returncode == 0, checked.stderr
