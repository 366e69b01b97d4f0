"""`cogo tokens`, over Postgres and over the REST API of Supabase."""

import re
from datetime import datetime

import pytest

from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.conftest import Owner

TOKEN = re.compile(r"cogo_[A-Za-z0-9_-]{43}")


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run each test over both transports."""
    return str(request.param)


def test_a_token_is_printed_once_listed_and_revoked(cogo: Terminal, owner: Owner) -> None:
    """Only the token is on standard output; the list never shows it."""
    answer = cogo.run("tokens", "create", "anna", "--role", "operator", "--expires-in", "90d")
    assert (answer.code, bool(TOKEN.fullmatch(answer.out.strip()))) == (0, True), answer
    assert "Token of anna with the role operator" in answer.err
    listed = cogo.run("tokens", "list")
    assert "anna" in listed.out
    assert answer.out.strip() not in listed.out
    [row] = cogo.ok("tokens", "list")
    assert (row["name"], row["role"], row["state"], row["last_used_at"]) == ("anna", "operator", "live", None)
    assert 89.9 < (days(row["expires_at"]) - days(row["created_at"])) < 90.1
    assert cogo.ok("tokens", "revoke", "anna") == {"name": "anna", "changed": True, "sessions": 0}
    assert [one["state"] for one in cogo.ok("tokens:list")] == ["revoked"]
    assert cogo.ok("tokens", "list", "--live") == []
    again = cogo.run("tokens", "revoke", "anna")
    assert (again.code, again.out) == (1, "")
    assert "No live token named anna" in again.err


def test_json_is_one_document_with_the_token(cogo: Terminal) -> None:
    """The default role is viewer."""
    created = cogo.ok("tokens", "create", "ci")
    assert TOKEN.fullmatch(created["token"])
    assert (created["name"], created["role"], created["created"]) == ("ci", "viewer", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("anna", "--role", "owner"), "choose viewer, operator or admin"),
        (("an na",), "The name must have"),
        (("anna", "--expires-in", "soon"), "not a duration"),
        (("ci",), "named ci: revoke it first"),
    ],
)
def test_invalid_arguments_are_rejected(cogo: Terminal, arguments: tuple[str, ...], message: str) -> None:
    """The exit code is 2, and no token is created."""
    cogo.ok("tokens", "create", "ci")
    answer = cogo.run("tokens", "create", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in " ".join(answer.err.split())
    assert len(cogo.ok("tokens", "list")) == 1


def days(time: str) -> float:
    """Return a timestamp in days."""
    return datetime.fromisoformat(time).timestamp() / 86_400
