"""`cogo tokens`, over Postgres and over a Supabase project's address alone."""

import re
from datetime import datetime

import pytest

from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.conftest import Owner

TOKEN = re.compile(r"cogo_[A-Za-z0-9_-]{43}")


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run each test both ways."""
    return str(request.param)


def test_a_token_is_printed_once_listed_and_revoked(cogo: Terminal, owner: Owner) -> None:
    """The token alone on standard output, what it is good for beside it; never again."""
    answer = cogo.run("tokens", "create", "anna", "--role", "operator", "--expires-in", "90d")
    assert (answer.code, bool(TOKEN.fullmatch(answer.out.strip()))) == (0, True), answer
    assert "anna has the role operator" in answer.err
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
    assert "no live token named anna" in again.err


def test_json_is_one_document_with_the_token(cogo: Terminal) -> None:
    """A viewer, unless another role is named."""
    made = cogo.ok("tokens", "create", "ci")
    assert TOKEN.fullmatch(made["token"])
    assert (made["name"], made["role"], made["created"]) == ("ci", "viewer", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("anna", "--role", "owner"), "choose viewer, operator or admin"),
        (("an na",), "The name must have"),
        (("anna", "--expires-in", "soon"), "not a duration"),
        (("ci",), "named ci: revoke it first"),
    ],
)
def test_what_cannot_be_made_is_a_sentence(cogo: Terminal, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, and no token."""
    cogo.ok("tokens", "create", "ci")
    answer = cogo.run("tokens", "create", *words)
    assert (answer.code, answer.out) == (2, "")
    assert said in " ".join(answer.err.split())
    assert len(cogo.ok("tokens", "list")) == 1


def days(time: str) -> float:
    """Return a time in days."""
    return datetime.fromisoformat(time).timestamp() / 86_400
