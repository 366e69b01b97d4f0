"""The vault's keys: made once, kept privately, and never shown."""

import stat
import threading
from pathlib import Path

import pytest

from cogo_dagster.vault.key_ring import KeyRing, Sealed, add_key, load_keys, new_key
from cogo_dagster.vault.vault_errors import NoVaultKeys, VaultError
from cogo_dagster_tests.vault.vaults import ring

KEY = "c29tZXRoaW5nIHRoYXQgaXMgMzIgYnl0ZXMgbG9uZyE="


def test_keys_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    """The second call finds the first one's."""
    file = tmp_path / "home" / "vault" / "keys"
    first = load_keys(file)
    assert load_keys(file).key_ids == first.key_ids
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_many_who_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """Sixteen threads, each with a lock of its own as processes have."""
    file, start = tmp_path / "vault" / "keys", threading.Barrier(16)
    found: list[tuple[str, ...]] = []

    def ask() -> None:
        start.wait()
        found.append(load_keys(file).key_ids)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert len(file.read_text().split()) == 1


def test_a_new_key_encrypts_and_the_old_ones_still_decrypt(tmp_path: Path) -> None:
    """Newest first."""
    file = tmp_path / "keys"
    old = load_keys(file)
    sealed = old.seal("dev", "p:u:n", "value")
    both = add_key(file)
    assert both.key_ids == (both.newest, old.newest)
    assert both.open("dev", "p:u:n", sealed) == "value"
    assert both.seal("dev", "p:u:n", "value").key_id != old.newest


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """With the command that mends it."""
    file = tmp_path / "keys"
    load_keys(file)
    file.chmod(0o640)
    with pytest.raises(NoVaultKeys, match=f"chmod 600 {file}"):
        load_keys(file)


def test_a_file_that_was_emptied_is_not_replaced(tmp_path: Path) -> None:
    """A new key would hide that the old one is lost."""
    file = tmp_path / "keys"
    load_keys(file)
    file.write_text("")
    with pytest.raises(NoVaultKeys):
        load_keys(file)


@pytest.mark.parametrize("text", ["", " , ,", "secret", KEY[:-2], f"{KEY},wrong"])
def test_what_is_no_key_is_refused_without_being_quoted(text: str) -> None:
    """COGO_VAULT_KEYS is named, the key is not."""
    with pytest.raises(NoVaultKeys, match="COGO_VAULT_KEYS") as refused:
        KeyRing.read(text, "COGO_VAULT_KEYS")
    assert all(word not in str(refused.value) for word in text.replace(",", " ").split())


def test_a_secret_moved_to_another_place_is_noticed() -> None:
    """Who writes to the table cannot give one secret another's name."""
    keys = ring()
    sealed = keys.seal("dev", "p:u:harmless", "value")
    with pytest.raises(VaultError, match="made for another place"):
        keys.open("dev", "p:u:important", sealed)
    with pytest.raises(VaultError, match="made for another place"):
        keys.open("prod", "p:u:harmless", sealed)


def test_a_missing_key_and_a_damaged_secret_are_told_apart() -> None:
    """The first names both keys, the second says to set it again."""
    keys, others = ring(), ring()
    sealed = keys.seal("dev", "p:u:n", "value")
    with pytest.raises(VaultError, match=f"with the key {keys.newest}, and here are only {others.newest}"):
        others.open("dev", "p:u:n", sealed)
    with pytest.raises(VaultError, match="is damaged"):
        keys.open("dev", "p:u:n", Sealed(sealed.ciphertext[:-8] + "AAAAAAA=", sealed.key_id))


def test_a_ring_does_not_show_its_keys() -> None:
    """Neither as text nor in an error's account of it."""
    key = new_key()
    assert key not in repr(ring(key))
    assert key not in str(ring(key))
