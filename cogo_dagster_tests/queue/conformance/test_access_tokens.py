"""Access tokens and sessions in the database: stored as hashes, valid until revoked or expired."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner

SEAL = "5" * 64


def hashed(text: str) -> str:
    """Return a hash in the form that the functions expect."""
    return hashlib.sha256(text.encode()).hexdigest()


def create(transport: Transport, name: str | None = "anna", **more: Json) -> Any:
    """Create a token whose secret is its name."""
    given = {"token_id": str(uuid4()), "name": name, "role": "viewer", "token_hash": hashed(str(name)), "actor": "me"}
    return transport.call("create_access_token", given | more)


def use(transport: Transport, secret: str = "anna") -> Any:
    """Authenticate with a token."""
    return transport.call("use_access_token", {"token_hash": hashed(secret)})


def log_in(transport: Transport, secret: str, **more: Json) -> Any:
    """Start a session."""
    given = {"session_hash": hashed(secret), "holder": "anna", "lifetime_seconds": 3600}
    return transport.call("open_web_session", given | (more or {"seal": SEAL}))


def session(transport: Transport, secret: str) -> Any:
    """Authenticate with a session cookie."""
    return transport.call("use_web_session", {"session_hash": hashed(secret)})


def test_a_token_is_found_by_its_hash_until_it_is_revoked(transport: Transport) -> None:
    """A use is recorded; the row has no hash; the log names who created and who revoked it."""
    made = create(transport)
    assert (made["created"], made["state"], made["last_used_at"], made["expires_at"]) == (True, "live", None, None)
    found = use(transport)
    assert (found["id"], found["name"], found["role"]) == (made["id"], "anna", "viewer")
    [row] = transport.call("list_access_tokens", {})
    assert row["last_used_at"] is not None
    assert hashed("anna") not in str(row) + str(made) + str(found)
    revoked = transport.call("revoke_access_token", {"name": "anna", "actor": "you"})
    assert revoked == {"name": "anna", "changed": True, "sessions": 0}
    assert use(transport) is None
    assert transport.call("revoke_access_token", {"name": "anna"})["changed"] is False
    [row] = transport.call("list_access_tokens", {})
    assert (row["state"], row["revoked_by"]) == ("revoked", "you")
    assert transport.call("list_access_tokens", {"live_only": True}) == []
    log = [(one["operation"], one["actor"], one["filter"]["name"]) for one in transport.call("list_operations", {})]
    assert log == [("revoke_token", "you", "anna"), ("create_token", "me", "anna")]


def test_a_repeated_call_creates_one_token(transport: Transport) -> None:
    """A repeated call returns the same token; another token with the name is rejected until the first is revoked."""
    same = str(uuid4())
    first, second = create(transport, token_id=same), create(transport, token_id=same)
    assert (first["created"], second["created"], second["id"]) == (True, False, first["id"])
    with pytest.raises(InvalidArgument, match="named anna"):
        create(transport, token_hash=hashed("other"))
    transport.call("revoke_access_token", {"name": "anna"})
    assert create(transport, token_hash=hashed("other"))["created"] is True


def test_concurrent_calls_create_one_token(transport: Transport) -> None:
    """The other calls are rejected with a message and not with a constraint violation."""

    def attempt(number: int) -> bool:
        try:
            return bool(create(transport, token_hash=hashed(str(number)))["created"])
        except InvalidArgument:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_an_expired_token_is_rejected_and_its_name_is_free(transport: Transport, owner: Owner) -> None:
    """A token expires by the database's clock."""
    create(transport, expires_in_seconds=60)
    assert use(transport) is not None
    log_in(transport, "cookie", token_id=use(transport)["id"])
    owner.execute("update public.access_tokens set expires_at = now() - interval '1 s'")
    assert (use(transport), session(transport, "cookie")) == (None, None)
    assert [row["state"] for row in transport.call("list_access_tokens", {})] == ["expired"]
    assert create(transport, token_hash=hashed("again"))["created"] is True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": None}, "The name must have"),
        ({"name": ""}, "The name must have"),
        ({"name": "-anna"}, "The name must have"),
        ({"name": "an na"}, "The name must have"),
        ({"name": "anna\n"}, "The name must have"),
        ({"name": "a" * 81}, "The name must have"),
        ({"role": "owner"}, "viewer, operator or admin"),
        ({"role": None}, "viewer, operator or admin"),
        ({"token_hash": "anna"}, "SHA-256"),
        ({"token_hash": None}, "SHA-256"),
        ({"token_id": None}, "new uuid"),
        ({"expires_in_seconds": 0}, "more than 0"),
        ({"expires_in_seconds": 1e12}, "ten years"),
    ],
)
def test_an_invalid_token_is_rejected(transport: Transport, given: dict[str, Json], message: str) -> None:
    """Invalid names and roles are rejected, and nothing is stored."""
    with pytest.raises(InvalidArgument, match=message):
        create(transport, **given)
    assert transport.call("list_access_tokens", {}) == []


def test_a_session_has_its_tokens_role_and_ends_with_it(transport: Transport) -> None:
    """A session has the token's role, whatever the caller passes; a repeated call starts one session."""
    token = create(transport, role="operator")
    opened = log_in(transport, "cookie", token_id=token["id"])
    assert log_in(transport, "cookie", token_id=token["id"])["id"] == opened["id"]
    assert (opened["role"], opened["token_id"], opened["seal"]) == ("operator", token["id"], None)
    assert session(transport, "cookie") == opened
    assert transport.call("use_web_session", {"session_id": opened["id"]}) == opened
    assert transport.call("revoke_access_token", {"name": "anna"})["sessions"] == 1
    assert session(transport, "cookie") is None
    with pytest.raises(InvalidArgument, match="no longer live"):
        log_in(transport, "another", token_id=token["id"])


def test_a_session_ends_when_it_is_ended_or_over(transport: Transport, owner: Owner) -> None:
    """A session ends once; sessions that expired long ago are deleted when another starts."""
    assert log_in(transport, "one")["role"] == "admin"
    log_in(transport, "two")
    end = {"session_hash": hashed("one")}
    assert [transport.call("end_web_session", end)["changed"] for _ in range(2)] == [True, False]
    assert session(transport, "one") is None
    owner.execute("update public.web_sessions set expires_at = now() - interval '25 h'")
    assert session(transport, "two") is None
    log_in(transport, "three")
    assert owner.execute("select count(*) from public.web_sessions").fetchone() == (1,)


@pytest.mark.parametrize(
    "given",
    [
        {"session_hash": "x", "seal": SEAL},
        {"holder": "", "seal": SEAL},
        {"lifetime_seconds": 0, "seal": SEAL},
        {"lifetime_seconds": None, "seal": SEAL},
        {"lifetime_seconds": 1e9, "seal": SEAL},
        {"seal": "short"},
        {"seal": None},
        {"seal": SEAL, "token_id": str(uuid4())},
        {"token_id": str(uuid4())},
    ],
)
def test_an_invalid_session_is_rejected(transport: Transport, given: dict[str, Json]) -> None:
    """Invalid arguments of a session are rejected, and nothing is stored."""
    with pytest.raises(InvalidArgument):
        log_in(transport, "cookie", **given)
    assert session(transport, "cookie") is None
