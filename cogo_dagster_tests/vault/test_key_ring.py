"""Keys of the vault: creation, file permissions, rotation, and messages without keys."""

import stat
import threading
from pathlib import Path

import pytest

from cogo_dagster.vault.key_ring import KeyRing, Sealed, add_key, load_keys, new_key
from cogo_dagster.vault.vault_errors import NoVaultKeys, VaultError
from cogo_dagster_tests.vault.vaults import ring

KEY = "c29tZXRoaW5nIHRoYXQgaXMgMzIgYnl0ZXMgbG9uZyE="


def test_keys_are_created_once_for_their_owner_only(tmp_path: Path) -> None:
    """A second call returns the keys of the first."""
    file = tmp_path / "home" / "vault" / "keys"
    first = load_keys(file)
    assert load_keys(file).key_ids == first.key_ids
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_concurrent_callers_get_the_same_key(tmp_path: Path) -> None:
    """Sixteen threads, each with its own lock as in separate processes, create one key."""
    file, start = tmp_path / "vault" / "keys", threading.Barrier(16)
    found: list[tuple[str, ...]] = []

    def load() -> None:
        start.wait()
        found.append(load_keys(file).key_ids)

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert len(file.read_text().split()) == 1


def test_a_new_key_encrypts_and_old_keys_decrypt(tmp_path: Path) -> None:
    """Keys are ordered newest first."""
    file = tmp_path / "keys"
    old = load_keys(file)
    sealed = old.seal("dev", "p:u:n", "value")
    both = add_key(file)
    assert both.key_ids == (both.newest, old.newest)
    assert both.open("dev", "p:u:n", sealed) == "value"
    assert both.seal("dev", "p:u:n", "value").key_id != old.newest


def test_a_key_file_readable_by_others_is_rejected(tmp_path: Path) -> None:
    """The message names the command that corrects the mode."""
    file = tmp_path / "keys"
    load_keys(file)
    file.chmod(0o640)
    with pytest.raises(NoVaultKeys, match=f"chmod 600 {file}"):
        load_keys(file)


def test_an_empty_key_file_is_not_replaced(tmp_path: Path) -> None:
    """A new key would hide the loss of the old one."""
    file = tmp_path / "keys"
    load_keys(file)
    file.write_text("")
    with pytest.raises(NoVaultKeys):
        load_keys(file)


@pytest.mark.parametrize("text", ["", " , ,", "secret", KEY[:-2], f"{KEY},wrong"])
def test_an_invalid_key_is_rejected_without_being_quoted(text: str) -> None:
    """The message names COGO_VAULT_KEYS and does not contain the key."""
    with pytest.raises(NoVaultKeys, match="COGO_VAULT_KEYS") as rejected:
        KeyRing.read(text, "COGO_VAULT_KEYS")
    assert all(word not in str(rejected.value) for word in text.replace(",", " ").split())


def test_a_secret_copied_to_another_reference_is_detected() -> None:
    """An attacker with write access to the table cannot exchange secrets."""
    keys = ring()
    sealed = keys.seal("dev", "p:u:harmless", "value")
    with pytest.raises(VaultError, match="encrypted for another reference"):
        keys.open("dev", "p:u:important", sealed)
    with pytest.raises(VaultError, match="encrypted for another reference"):
        keys.open("prod", "p:u:harmless", sealed)


def test_a_missing_key_and_a_corrupted_secret_are_distinguished() -> None:
    """The first message names both keys, the second asks to set the secret again."""
    keys, others = ring(), ring()
    sealed = keys.seal("dev", "p:u:n", "value")
    with pytest.raises(VaultError, match=f"with the key {keys.newest}, but the configured keys are {others.newest}"):
        others.open("dev", "p:u:n", sealed)
    with pytest.raises(VaultError, match="is corrupted"):
        keys.open("dev", "p:u:n", Sealed(sealed.ciphertext[:-8] + "AAAAAAA=", sealed.key_id))


def test_keys_are_not_in_the_repr() -> None:
    """Neither `repr` nor `str` contains a key."""
    key = new_key()
    assert key not in repr(ring(key))
    assert key not in str(ring(key))
