"""`cogo vault`: what the old script took, what is printed and what never is."""

import io
import re
import sys
from pathlib import Path
from unittest import mock

import pytest

from cogo_dagster.vault.key_ring import new_key
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.cli.test_bad_input import refused
from cogo_dagster_tests.conftest import Owner

CANARY = "canary-7f3a91d2"
TOKEN = ("quality", "notify", "admin_token")


@pytest.fixture
def keyed(tmp_path: Path, dsn: str) -> Terminal:
    """Commands on a database of one's own, with a vault key."""
    return terminal(tmp_path, dsn, {"COGO_VAULT_KEYS": new_key()})


def test_the_old_scripts_words_are_taken(keyed: Terminal) -> None:
    """`… dev false`: the scope, and a wish that is not granted, which is said."""
    answer = keyed.run("vault", "set", *TOKEN, CANARY, "dev", "false")
    assert answer.code == 0
    assert answer.out == "Kept quality:notify:admin_token in dev, version 1, encrypted.\n"
    assert "always encrypted" in answer.err
    assert keyed.run("vault", "get", *TOKEN, "--reveal").out == f"{CANARY}\n"


def test_a_secret_is_printed_only_when_it_is_asked_for(keyed: Terminal) -> None:
    """Neither by set nor by get nor by list, with --json or without."""
    said = keyed.run("vault", "set", *TOKEN, CANARY, "--env", "dev", "--json")
    for words in (("get", *TOKEN), ("get", ":".join(TOKEN)), ("list",)):
        for more in ((), ("--json",)):
            answer = keyed.run("vault", *words, *more)
            assert answer.code == 0, answer
            assert CANARY not in answer.out + answer.err + said.out + said.err
    assert keyed.ok("vault", "get", *TOKEN, "--reveal")["value"] == CANARY
    assert "value" not in keyed.ok("vault", "get", *TOKEN)


def test_a_secret_is_read_from_standard_input(keyed: Terminal) -> None:
    """So that it is in no list of processes; the line's end is not part of it."""
    for at, words in enumerate([(), ("-",)]):
        with mock.patch.object(sys, "stdin", io.StringIO(f"{CANARY}{at}\n")):
            keyed.ok("vault", "set", *TOKEN, *words)
        assert keyed.ok("vault", "get", *TOKEN, "--reveal")["value"] == f"{CANARY}{at}"


def test_bytes_on_standard_input_are_refused_without_being_shown(keyed: Terminal) -> None:
    """A traceback would quote them."""
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{CANARY}\xff".encode("latin-1")), "utf-8")):
        answer = keyed.run("vault", "set", *TOKEN)
    refused(answer, 2, "base64")
    assert CANARY not in answer.err


def test_environments_are_apart(keyed: Terminal) -> None:
    """--env, the old word and COGO_ENV say the same; a variable speaks for COGO_ENV only."""
    keyed.ok("vault", "set", *TOKEN, "of prod", "prod")
    keyed.ok("vault", "set", *TOKEN, "of stage", COGO_ENV="stage")
    refused(keyed.run("vault", "get", *TOKEN), 1, "cogo vault set")
    assert keyed.ok("vault", "get", *TOKEN, "--env", "stage", "--reveal")["value"] == "of stage"
    found = keyed.ok("vault", "get", *TOKEN, "--env", "prod", "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN="of dev")
    assert (found["value"], found["source"]) == ("of prod", "database")
    found = keyed.ok("vault", "get", *TOKEN, "--reveal", QUALITY_NOTIFY_ADMIN_TOKEN="of dev")
    assert (found["value"], found["source"]) == ("of dev", "variable QUALITY_NOTIFY_ADMIN_TOKEN")
    assert keyed.ok("vault", "list") == []
    assert [row["environment"] for row in keyed.ok("vault", "list", "--all")] == ["prod", "stage"]


def test_any_other_variable_stands_for_its_reference(keyed: Terminal) -> None:
    """By the rule of names."""
    assert keyed.ok("vault", "get", "open-ai:chat:key", "--reveal", OPEN_AI_CHAT_KEY="abc")["value"] == "abc"


def test_without_a_key_secrets_of_ones_own_database_are_refused(cogo: Terminal) -> None:
    """By the name of the variable, before anything is read from the terminal."""
    refused(cogo.run("vault", "set", *TOKEN, CANARY), 2, "COGO_VAULT_KEYS")
    refused(cogo.run("vault", "rotate"), 2, "COGO_VAULT_KEYS")
    refused(cogo.run("vault", "set", *TOKEN, CANARY, COGO_VAULT_KEYS="secret"), 2, "no Fernet key")


def test_a_secret_whose_key_is_not_here_is_refused_by_the_keys_name(keyed: Terminal, cogo: Terminal) -> None:
    """Other keys, and none."""
    keyed.ok("vault", "set", *TOKEN, CANARY)
    refused(keyed.run("vault", "get", *TOKEN, COGO_VAULT_KEYS=new_key()), 1, "add that key to COGO_VAULT_KEYS")
    refused(cogo.run("vault", "get", *TOKEN), 2, "COGO_VAULT_KEYS")


def test_rotate_encrypts_everything_with_the_newest_key(keyed: Terminal, owner: Owner) -> None:
    """Of all environments; then the old key is not needed any more."""
    old, new = keyed.environment["COGO_VAULT_KEYS"], new_key()
    keyed.ok("vault", "set", *TOKEN, CANARY)
    keyed.ok("vault", "set", *TOKEN, CANARY, "prod")
    assert keyed.ok("vault", "rotate", COGO_VAULT_KEYS=f"{new},{old}")["changed"] == 2
    assert keyed.ok("vault", "rotate", COGO_VAULT_KEYS=f"{new},{old}")["changed"] == 0
    assert keyed.ok("vault", "get", *TOKEN, "--reveal", COGO_VAULT_KEYS=new)["value"] == CANARY
    refused(keyed.run("vault", "rotate", "--new-key"), 2, "cogo vault new-key")
    lost = keyed.run("vault", "rotate", COGO_VAULT_KEYS=new_key())
    assert (lost.code, "dev quality:notify:admin_token" in lost.out) == (1, True)


def test_remove_forgets_a_secret(keyed: Terminal) -> None:
    """Once."""
    keyed.ok("vault", "set", *TOKEN, CANARY)
    assert keyed.ok("vault", "remove", *TOKEN)["changed"] is True
    assert keyed.ok("vault", "remove", ":".join(TOKEN))["changed"] is False
    refused(keyed.run("vault", "get", *TOKEN), 1, "cogo vault set")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("set", "Quality", "notify", "x", "value"), "provider:usage:name"),
        (("set", *TOKEN, "value", "dev", "prod"), "quote a value"),
        (("set", *TOKEN, "value", "prod", "false", "--env", "dev"), "leave one out"),
        (("set", *TOKEN, "value", "--env", "Prod!"), "COGO_ENV"),
        (("get", "quality", "notify"), "provider:usage:name"),
    ],
)
def test_wrong_words_are_refused(nowhere: Terminal, words: tuple[str, ...], sentence: str) -> None:
    """Before the database is asked."""
    answer = nowhere.run("vault", *words, COGO_VAULT_KEYS=new_key())
    refused(answer, 2, sentence)


def test_new_token_is_64_hexadecimal_digits_and_another_each_time(nowhere: Terminal) -> None:
    """As `openssl rand -hex 32` makes them."""
    made = [nowhere.run("vault", "new-token").out.strip() for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in made)
    assert made[0] != made[1]


def test_new_key_is_taken_as_a_key(keyed: Terminal) -> None:
    """The one is the other's input."""
    key = keyed.ok("vault", "new-key")["key"]
    assert keyed.ok("vault", "set", *TOKEN, CANARY, COGO_VAULT_KEYS=key)["created"] is True


def test_on_the_embedded_database_the_key_is_made_and_kept(tmp_path: Path, embedded_home: Path) -> None:
    """Beside the database, for its owner only; rotation makes the next."""
    embedded = terminal(tmp_path, None, {"COGO_HOME": str(embedded_home)})
    embedded.ok("db", "start")
    try:
        embedded.ok("vault", "set", *TOKEN, CANARY)
        file = embedded_home / "vault" / "keys"
        assert file.stat().st_mode & 0o777 == 0o600
        assert embedded.ok("vault", "rotate", "--new-key")["changed"] == 1
        assert len(file.read_text().split()) == 2
        assert embedded.ok("vault", "get", *TOKEN, "--reveal")["value"] == CANARY
    finally:
        embedded.ok("db", "stop")
