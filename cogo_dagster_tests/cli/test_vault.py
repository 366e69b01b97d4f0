"""`cogo vault`: legacy arguments, and which commands print secrets."""

import io
import re
import sys
from pathlib import Path
from unittest import mock

import pytest

from cogo_dagster.vault.key_ring import new_key
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.cli.test_bad_input import assert_rejected
from cogo_dagster_tests.conftest import Owner

CANARY = "canary-7f3a91d2"
TOKEN = ("quality", "notify", "admin_token")


@pytest.fixture
def keyed(tmp_path: Path, dsn: str) -> Terminal:
    """Return a terminal on a database with a vault key."""
    return terminal(tmp_path, dsn, {"COGO_VAULT_KEYS": new_key()})


def test_legacy_arguments_are_accepted(keyed: Terminal) -> None:
    """`dev false` selects the environment; the secret is encrypted nevertheless, which is printed."""
    answer = keyed.run("vault", "set", *TOKEN, CANARY, "dev", "false")
    assert answer.code == 0
    assert answer.out == "Stored quality:notify:admin_token in dev, version 1.\n"
    assert "always encrypted" in answer.err
    assert keyed.run("vault", "get", *TOKEN, "--reveal").out == f"{CANARY}\n"


def test_a_secret_is_printed_only_with_reveal(keyed: Terminal) -> None:
    """set, get and list do not print the secret, with or without --json."""
    stored = keyed.run("vault", "set", *TOKEN, CANARY, "--env", "dev", "--json")
    for arguments in (("get", *TOKEN), ("get", ":".join(TOKEN)), ("list",)):
        for more in ((), ("--json",)):
            answer = keyed.run("vault", *arguments, *more)
            assert answer.code == 0, answer
            assert CANARY not in answer.out + answer.err + stored.out + stored.err
    assert keyed.ok("vault", "get", *TOKEN, "--reveal")["value"] == CANARY
    assert "value" not in keyed.ok("vault", "get", *TOKEN)


def test_a_secret_is_read_from_standard_input(keyed: Terminal) -> None:
    """The secret does not appear in the process list, and the final newline is not part of it."""
    for at, arguments in enumerate([(), ("-",)]):
        with mock.patch.object(sys, "stdin", io.StringIO(f"{CANARY}{at}\n")):
            keyed.ok("vault", "set", *TOKEN, *arguments)
        assert keyed.ok("vault", "get", *TOKEN, "--reveal")["value"] == f"{CANARY}{at}"


def test_binary_input_is_rejected_without_being_shown(keyed: Terminal) -> None:
    """The message does not contain the input, as a traceback would."""
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{CANARY}\xff".encode("latin-1")), "utf-8")):
        answer = keyed.run("vault", "set", *TOKEN)
    assert_rejected(answer, 2, "base64")
    assert CANARY not in answer.err


def test_environments_are_separate(keyed: Terminal) -> None:
    """--env, the legacy argument and COGO_ENV select an environment; a variable applies to COGO_ENV only."""
    keyed.ok("vault", "set", *TOKEN, "of prod", "prod")
    keyed.ok("vault", "set", *TOKEN, "of stage", COGO_ENV="stage")
    assert_rejected(keyed.run("vault", "get", *TOKEN), 1, "cogo vault set")
    assert keyed.ok("vault", "get", *TOKEN, "--env", "stage", "--reveal")["value"] == "of stage"
    found = keyed.ok("vault", "get", *TOKEN, "--env", "prod", "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN="of dev")
    assert (found["value"], found["source"]) == ("of prod", "database")
    found = keyed.ok("vault", "get", *TOKEN, "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN="of dev")
    assert (found["value"], found["source"]) == ("of dev", "variable QUALITY_NOTIFY_ADMIN_TOKEN")
    assert keyed.ok("vault", "list") == []
    assert [row["environment"] for row in keyed.ok("vault", "list", "--all")] == ["prod", "stage"]


def test_a_variable_overrides_its_reference(keyed: Terminal) -> None:
    """The name of the variable is derived from the reference."""
    assert keyed.ok("vault", "get", "open-ai:chat:key", "--reveal", OPEN_AI_CHAT_KEY="abc")["value"] == "abc"


def test_without_a_key_secrets_are_rejected(cogo: Terminal) -> None:
    """The message names COGO_VAULT_KEYS before a secret is read from the terminal."""
    assert_rejected(cogo.run("vault", "set", *TOKEN, CANARY), 2, "COGO_VAULT_KEYS")
    assert_rejected(cogo.run("vault", "rotate"), 2, "COGO_VAULT_KEYS")
    assert_rejected(cogo.run("vault", "set", *TOKEN, CANARY, COGO_VAULT_KEYS="secret"), 2, "not a Fernet key")


def test_a_secret_with_a_missing_key_cannot_be_read(keyed: Terminal, cogo: Terminal) -> None:
    """The message names the missing key, or the variable if there are no keys."""
    keyed.ok("vault", "set", *TOKEN, CANARY)
    assert_rejected(keyed.run("vault", "get", *TOKEN, COGO_VAULT_KEYS=new_key()), 1, "add that key to COGO_VAULT_KEYS")
    assert_rejected(cogo.run("vault", "get", *TOKEN), 2, "COGO_VAULT_KEYS")


def test_rotate_encrypts_everything_with_the_newest_key(keyed: Terminal, owner: Owner) -> None:
    """Secrets of all environments are encrypted with the new key, and the old key is no longer needed."""
    old, new = keyed.environment["COGO_VAULT_KEYS"], new_key()
    keyed.ok("vault", "set", *TOKEN, CANARY)
    keyed.ok("vault", "set", *TOKEN, CANARY, "prod")
    assert keyed.ok("vault", "rotate", COGO_VAULT_KEYS=f"{new},{old}")["changed"] == 2
    assert keyed.ok("vault", "rotate", COGO_VAULT_KEYS=f"{new},{old}")["changed"] == 0
    assert keyed.ok("vault", "get", *TOKEN, "--reveal", COGO_VAULT_KEYS=new)["value"] == CANARY
    assert_rejected(keyed.run("vault", "rotate", "--new-key"), 2, "cogo vault new-key")
    lost = keyed.run("vault", "rotate", COGO_VAULT_KEYS=new_key())
    assert (lost.code, "dev quality:notify:admin_token" in lost.out) == (1, True)


def test_remove_deletes_a_secret(keyed: Terminal) -> None:
    """A second removal changes nothing."""
    keyed.ok("vault", "set", *TOKEN, CANARY)
    assert keyed.ok("vault", "remove", *TOKEN)["changed"] is True
    assert keyed.ok("vault", "remove", ":".join(TOKEN))["changed"] is False
    assert_rejected(keyed.run("vault", "get", *TOKEN), 1, "cogo vault set")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "Quality", "notify", "x", "value"), "provider:usage:name"),
        (("set", *TOKEN, "value", "dev", "prod"), "quote a value"),
        (("set", *TOKEN, "value", "prod", "false", "--env", "dev"), "remove one of them"),
        (("set", *TOKEN, "value", "--env", "Prod!"), "COGO_ENV"),
        (("get", "quality", "notify"), "provider:usage:name"),
    ],
)
def test_invalid_arguments_are_rejected(nowhere: Terminal, arguments: tuple[str, ...], message: str) -> None:
    """Invalid arguments are rejected without a connection."""
    answer = nowhere.run("vault", *arguments, COGO_VAULT_KEYS=new_key())
    assert_rejected(answer, 2, message)


def test_new_token_is_random(nowhere: Terminal) -> None:
    """A token has 64 hexadecimal digits, as from `openssl rand -hex 32`, and differs each time."""
    tokens = [nowhere.run("vault", "new-token").out.strip() for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)
    assert tokens[0] != tokens[1]


def test_new_key_is_a_valid_vault_key(keyed: Terminal) -> None:
    """The output can be used as COGO_VAULT_KEYS."""
    key = keyed.ok("vault", "new-key")["key"]
    assert keyed.ok("vault", "set", *TOKEN, CANARY, COGO_VAULT_KEYS=key)["created"] is True


def test_the_embedded_database_creates_its_key(tmp_path: Path) -> None:
    """The key is stored beside the database, readable by its owner only, and rotation adds another."""
    embedded = terminal(tmp_path, None, {})
    embedded.ok("db", "start")
    try:
        embedded.ok("vault", "set", *TOKEN, CANARY)
        file = tmp_path / "home" / "vault" / "keys"
        assert file.stat().st_mode & 0o777 == 0o600
        assert embedded.ok("vault", "rotate", "--new-key")["changed"] == 1
        assert len(file.read_text().split()) == 2
        assert embedded.ok("vault", "get", *TOKEN, "--reveal")["value"] == CANARY
    finally:
        embedded.ok("db", "stop")
