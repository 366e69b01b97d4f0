"""Keys of the vault, and encryption with them.

A secret is a Fernet token of its environment, reference and value, so that a row copied to another reference is
detected when it is read.
"""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cogo_dagster.queue.durable import write_private
from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster.vault.vault_errors import NoVaultKeys, VaultError

MISSING = (
    "There is no vault key: set COGO_VAULT_KEYS to the output of `cogo vault new-key`, "
    "to the same value wherever secrets are read, and keep a copy outside of the database."
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value, as stored in the database."""

    ciphertext: str
    key_id: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys, newest first: the newest encrypts, all decrypt.

    Attributes:
        key_ids: ID of each key in the database, from which the key cannot be derived.
    """

    key_ids: tuple[str, ...]
    _fernet: MultiFernet = field(repr=False)

    @classmethod
    def read(cls, text: str, source: str) -> Self:
        """Parse keys separated by commas or line breaks.

        Args:
            text: The keys, newest first.
            source: Name of their source, for messages.

        Raises:
            NoVaultKeys: There is no key, or one is not a Fernet key.
        """
        keys = text.replace(",", " ").split()
        try:
            fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise NoVaultKeys(
                f"A key in {source} is not a Fernet key: use keys from `cogo vault new-key`, newest first."
            ) from None
        if not fernets:
            raise NoVaultKeys(MISSING)
        return cls(tuple(_key_id(key) for key in keys), MultiFernet(fernets))

    @property
    def newest(self) -> str:
        """Return the ID of the key that encrypts."""
        return self.key_ids[0]

    def seal(self, environment: str, reference: str, value: str) -> Sealed:
        """Encrypt a value for an environment and reference."""
        content = json.dumps([environment, reference, value], ensure_ascii=False)
        return Sealed(self._fernet.encrypt(content.encode()).decode(), self.newest)

    def open(self, environment: str, reference: str, sealed: Sealed) -> str:
        """Decrypt a value and check that it belongs to this environment and reference.

        Raises:
            VaultError: The key is missing, or the value was encrypted for another reference.
        """
        try:
            content = json.loads(self._fernet.decrypt(sealed.ciphertext.encode()))
        except InvalidToken:
            raise VaultError(self._unreadable(environment, reference, sealed)) from None
        if content[:2] != [environment, reference]:
            raise VaultError(
                f"The secret {reference} in {environment} was encrypted for another reference: set it again."
            )
        return str(content[2])

    def _unreadable(self, environment: str, reference: str, sealed: Sealed) -> str:
        if sealed.key_id in self.key_ids:
            return f"The secret {reference} in {environment} is corrupted: set it again."
        return (
            f"The secret {reference} in {environment} is encrypted with the key {sealed.key_id}, "
            f"but the configured keys are {', '.join(self.key_ids)}: add that key to COGO_VAULT_KEYS, or set it again."
        )


def new_key() -> str:
    """Return a new Fernet key."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def load_keys(file: Path) -> KeyRing:
    """Return the keys of a file that only its owner may read; a missing file is created with a new key.

    Raises:
        NoVaultKeys: The file cannot be read or written.
    """
    if not file.exists():
        _change(file, lambda keys: keys or [new_key()])
    return KeyRing.read("\n".join(_read(file)), str(file))


def add_key(file: Path) -> KeyRing:
    """Add a new key as the newest to a key file."""
    _change(file, lambda keys: [new_key(), *keys])
    return load_keys(file)


def _key_id(key: str) -> str:
    return hashlib.sha256(f"cogo vault key {key}".encode()).hexdigest()[:12]


def _read(file: Path) -> list[str]:
    try:
        if file.stat().st_mode & 0o077:
            raise NoVaultKeys(f"Other users may read the vault keys in {file}: run `chmod 600 {file}`.")
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise NoVaultKeys(f"The vault keys in {file} cannot be read ({error}): restore the file.") from None


def _change(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file atomically, under a lock."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_name(f"{file.name}.lock")):
            keys = change(_read(file) if file.exists() else [])
            write_private(file, "\n".join(keys) + "\n")
    except OSError as error:
        raise NoVaultKeys(f"The vault keys cannot be written to {file} ({error.strerror}): make it writable.") from None
