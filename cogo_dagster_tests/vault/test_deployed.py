"""The edge functions as they are deployed, under Deno, before a project with a real database: who gets what."""

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
        public: The key that everybody may have.
    """

    dsn: str
    stand_in: StandIn
    router: str
    vault: str
    public: str

    def headers(self, **more: str) -> dict[str, str]:
        """Return the runbook's headers."""
        return {"authorization": f"Bearer {self.public}", "apikey": self.public} | more

    def settings(self, **more: str) -> Settings:
        """Return the settings of somebody who calls the functions."""
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
    """Serve both functions before a project, with either kind of keys."""
    own, public = KINDS[request.param]
    with servers(18).clone("migrated") as dsn, supabase(dsn) as stand_in:
        environment = own | {"SUPABASE_URL": stand_in.url, "QUALITY_NOTIFY_ADMIN_TOKEN": ADMIN}
        with served("router-select", environment) as router, served("key-vault", environment) as vault:
            yield Edge(dsn, stand_in, router, vault, public)


@pytest.fixture
def transport(edge: Edge) -> Iterator[Transport]:
    """Call the same database past the functions, emptied."""
    with psycopg.connect(edge.dsn, autocommit=True) as connection:
        connection.execute(
            "delete from public.secrets; delete from public.providers; delete from public.provider_health"
        )
    transport = PostgresTransport(edge.dsn, role="service_role")
    yield transport
    transport.close()


@pytest.fixture
def kept(transport: Transport) -> KeyVault:
    """Return a vault with a secret in it."""
    ring = KeyRing.read(new_key(), "the test")
    vault = KeyVault(transport, "dev", lambda: ring)
    vault.put(TOKEN, CANARY)
    return vault


def ask(edge: Edge, body: Json, **more: str) -> httpx.Response:
    """Ask the vault's function."""
    return httpx.post(edge.vault, json=body, headers=edge.headers(**more), timeout=30)


def test_the_router_gives_the_same_answer_on_both_ways(edge: Edge, transport: Transport) -> None:
    """To the letter, also where nobody can be chosen."""
    plain, behind = Router(transport), Router(transport, edge_router(edge.settings()))
    assert behind.select(["chat"]) == plain.select(["chat"])
    for provider, cost in (("one", 1.5), ("two", 2)):
        plain.add(provider, "chat", cost=cost)
    result = {"provider": "one", "capability": "chat", "healthy": False, "latency_ms": 1.25, "error": "It answers 503."}
    transport.call("record_provider_health", {"results": [result]})
    assert edge_router(edge.settings())
    answer = behind.select(["chat"])
    assert answer == plain.select(["chat"])
    assert answer.document["provider"] == "two"
    assert behind.select(["chat"], 0) == plain.select(["chat"], 0)


def test_one_capability_may_be_asked_for_by_itself(edge: Edge, transport: Transport) -> None:
    """As a word."""
    Router(transport).add("one", "chat")
    answer = httpx.post(edge.router, json={"capability": "chat"}, headers=edge.headers(), timeout=30)
    assert (answer.status_code, answer.json()["provider"]) == (200, "one")
    assert answer.headers["cache-control"] == "no-store"


def test_the_vault_reads_through_the_function(edge: Edge, kept: KeyVault) -> None:
    """It is asked first, and what it gives is decrypted here."""
    behind = KeyVault(kept.transport, "dev", kept.keys, edge=edge_secrets(edge.settings()))
    found = behind.find(TOKEN)
    assert found
    assert (found.value, found.source, found.version) == (CANARY, "edge function", 1)
    assert behind.get("quality:notify:other") is None


def test_without_its_function_the_vault_answers_the_same(edge: Edge, kept: KeyVault) -> None:
    """A wrong token, or nobody there."""
    for more in ({"QUALITY_NOTIFY_ADMIN_TOKEN": "d" * 64}, {"KEY_VAULT_URL": "http://127.0.0.1:1/"}):
        found = KeyVault(kept.transport, "dev", kept.keys, edge=edge_secrets(edge.settings(**more))).find(TOKEN)
        assert found
        assert (found.value, found.source) == (CANARY, "database")


def test_the_function_returns_ciphertext_only(edge: Edge, kept: KeyVault) -> None:
    """It could not do otherwise: it has no key."""
    answer = ask(edge, {"environment": "dev", "reference": TOKEN}, **{"x-admin-token": ADMIN})
    assert answer.status_code == 200
    assert answer.json()["secret"]["ciphertext"].startswith("gAAAA")
    assert CANARY not in answer.text


@pytest.mark.parametrize("token", [None, "", "c" * 63, "c" * 65, "C" * 64, keys.PUBLISHABLE])
def test_the_public_keys_alone_yield_no_secret(edge: Edge, kept: KeyVault, token: str | None) -> None:
    """Without the admin token, or with another, nothing of a secret is said: not even whether there is one."""
    sent = {} if token is None else {"x-admin-token": token}
    there, absent = (
        ask(edge, {"environment": "dev", "reference": reference}, **sent)
        for reference in (TOKEN, "quality:notify:other")
    )
    assert (there.status_code, there.json()["code"]) == (403, "ADMIN_TOKEN")
    assert there.text == absent.text


def test_a_named_token_of_an_administrator_is_as_good_as_the_admin_token(edge: Edge, kept: KeyVault) -> None:
    """Of no other role, and until it is revoked."""
    tokens, body = AccessTokens(kept.transport), {"environment": "dev", "reference": TOKEN}
    made = {role: tokens.create(f"{role}-{uuid4().hex}", role) for role in ROLES}
    seen = {role: ask(edge, body, **{"x-admin-token": token}).status_code for role, (token, _) in made.items()}
    assert seen == {"viewer": 403, "operator": 403, "admin": 200}
    token, row = made["admin"]
    tokens.revoke(row.document["name"])
    assert ask(edge, body, **{"x-admin-token": token}).status_code == 403


def test_while_no_token_is_set_everybody_is_refused(edge: Edge, kept: KeyVault) -> None:
    """Also who sends an empty one."""
    own = next(own for own, public in KINDS.values() if public == edge.public)
    with served("key-vault", own | {"SUPABASE_URL": edge.stand_in.url}) as url:
        for token in ("", ADMIN):
            sent = edge.headers(**{"x-admin-token": token})
            answer = httpx.post(url, json={"environment": "dev", "reference": TOKEN}, headers=sent, timeout=30)
            assert answer.status_code == 403


@pytest.mark.parametrize("which", ["router", "vault"])
def test_without_a_key_of_the_project_nothing_is_answered(edge: Edge, which: str) -> None:
    """None, or another project's; one of the two headers is enough, since the runtime may look at either."""
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
def test_only_small_json_objects_may_be_posted(edge: Edge, which: str) -> None:
    """Other methods, other bodies and long ones are refused, each with its own status."""
    url, sent = getattr(edge, which), edge.headers(**{"x-admin-token": ADMIN})
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        refused = httpx.request(method, url, headers=sent, timeout=30)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    for body in (b"", b"{", b"[]", b"null", b'"text"', b"\xff"):
        assert httpx.post(url, content=body, headers=sent, timeout=30).status_code == 400
    assert httpx.post(url, content=b" " * 20_000, headers=sent, timeout=30).status_code == 413
    assert httpx.post(url, content=iter([b" " * 10_000] * 2), headers=sent, timeout=30).status_code == 413


@pytest.mark.parametrize(
    "body",
    [{}, {"environment": "dev"}, {"environment": "dev", "reference": "x"}, {"environment": 5, "reference": {"a": 1}}],
)
def test_what_names_no_secret_is_refused_in_the_engines_words(edge: Edge, body: dict[str, Any]) -> None:
    """With its code."""
    answer = ask(edge, body, **{"x-admin-token": ADMIN})
    assert (answer.status_code, answer.json()["code"]) == (400, "CQ005")


def test_a_database_in_trouble_is_told_apart(edge: Edge) -> None:
    """A wrong service key is 502 with the status, nobody there is 504; neither says more."""
    own = {"SUPABASE_ANON_KEY": edge.public, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_another_project"}
    for url, status in ((edge.stand_in.url, 502), ("http://127.0.0.1:1", 504)):
        with served("router-select", own | {"SUPABASE_URL": url}) as served_at:
            answer = httpx.post(served_at, json={"capability": "chat"}, headers=edge.headers(), timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (status, "DATABASE")
        assert "sb_secret" not in answer.text


def test_the_commands_go_through_the_functions(edge: Edge, kept: KeyVault, tmp_path: Path) -> None:
    """With the runbook's variables and no other database than the project's REST address."""
    [key] = kept.keys().key_ids
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
    through = cogo.ok("router", "select", "--capability", "chat")
    assert through == cogo.ok("router", "select", "--capability", "chat", ROUTER_SELECT_URL="http://127.0.0.1:1/")
    assert through["provider"] == "one"
    set_ = cogo.run("vault", "set", "quality", "notify", "admin_token", CANARY, "dev", "false", "--json")
    assert (set_.code, set_.json["key_id"] == key) == (0, False)
    # The function wants the token, which then answers for itself: another reference shows the way.
    cogo.ok("vault", "set", "one", "more", "secret", CANARY)
    found = cogo.ok("vault", "get", "one:more:secret", "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN=ADMIN)
    assert (found["value"], found["source"]) == (CANARY, "edge function")
    assert cogo.ok("vault", "get", "one:more:secret", "--reveal")["source"] == "database"


@pytest.mark.parametrize("command", [("check", "--no-remote"), ("lint",), ("fmt", "--check", "--line-width", "120")])
def test_the_functions_pass_denos_own_checks(command: tuple[str, ...]) -> None:
    """Types, rules and form; nothing is fetched."""
    checked = deno(*command, "router-select/index.ts", "key-vault/index.ts", "_shared/edge.ts")
    assert checked.returncode == 0, checked.stderr
