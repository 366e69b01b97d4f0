"""The keys of the vault, and what is encrypted with them.

A secret is a Fernet token of its scope, reference and value together: a row that somebody put in the place of another
is noticed when it is read.
"""

import hashlib
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster.vault.vault_errors import NoVaultKeys, VaultError

MISSING = (
    "There is no vault key: set COGO_VAULT_KEYS to the one that `cogo vault new-key` makes, "
    "the same wherever secrets are read, and keep a copy of it outside the database."
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as the database keeps it."""

    ciphertext: str
    key_id: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys, newest first: that one encrypts, all decrypt.

    Attributes:
        key_ids: What the database knows each by; tells nothing of the key.
    """

    key_ids: tuple[str, ...]
    _fernet: MultiFernet = field(repr=False)

    @classmethod
    def read(cls, text: str, source: str) -> Self:
        """Read keys that are separated by commas or line breaks.

        Args:
            source: Where they come from, for the error.

        Raises:
            NoVaultKeys: None, or one that is no Fernet key.
        """
        keys = text.replace(",", " ").split()
        try:
            fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise NoVaultKeys(
                f"A key in {source} is no Fernet key: each must be what `cogo vault new-key` prints, newest first."
            ) from None
        if not fernets:
            raise NoVaultKeys(MISSING)
        return cls(tuple(_key_id(key) for key in keys), MultiFernet(fernets))

    @property
    def newest(self) -> str:
        """The id of the key that encrypts."""
        return self.key_ids[0]

    def seal(self, environment: str, reference: str, value: str) -> Sealed:
        """Encrypt a value for its place."""
        content = json.dumps([environment, reference, value], ensure_ascii=False)
        return Sealed(self._fernet.encrypt(content.encode()).decode(), self.newest)

    def open(self, environment: str, reference: str, sealed: Sealed) -> str:
        """Decrypt a value and check that it belongs to this place.

        Raises:
            VaultError: No key of ours fits, or it was made for another place.
        """
        try:
            content = json.loads(self._fernet.decrypt(sealed.ciphertext.encode()))
        except InvalidToken:
            raise VaultError(self._unreadable(environment, reference, sealed)) from None
        if content[:2] != [environment, reference]:
            raise VaultError(
                f"The secret kept as {reference} in {environment} was made for another place: set it again."
            )
        return str(content[2])

    def _unreadable(self, environment: str, reference: str, sealed: Sealed) -> str:
        if sealed.key_id in self.key_ids:
            return f"The secret {reference} in {environment} is damaged: set it again."
        return (
            f"The secret {reference} in {environment} is encrypted with the key {sealed.key_id}, "
            f"and here are only {', '.join(self.key_ids)}: add that key to COGO_VAULT_KEYS, or set the secret again."
        )


def new_key() -> str:
    """Make a Fernet key."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def kept_keys(file: Path) -> KeyRing:
    """Return the keys kept in a file that only its owner may read; made with a first key if there is none.

    Raises:
        NoVaultKeys: The file cannot be used.
    """
    if not file.exists():
        _change(file, lambda keys: keys or [new_key()])
    return KeyRing.read("\n".join(_read(file)), str(file))


def add_key(file: Path) -> KeyRing:
    """Put a new key before the others in the file of kept keys."""
    _change(file, lambda keys: [new_key(), *keys])
    return kept_keys(file)


def _key_id(key: str) -> str:
    return hashlib.sha256(f"cogo vault key {key}".encode()).hexdigest()[:12]


def _read(file: Path) -> list[str]:
    try:
        if file.stat().st_mode & 0o077:
            raise NoVaultKeys(f"Others may read the vault keys in {file}: run `chmod 600 {file}`.")
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise NoVaultKeys(f"The vault keys in {file} cannot be read ({error}): bring the file back.") from None


def _change(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the file as a whole while no other process does so."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_name(f"{file.name}.lock")):
            keys = change(_read(file) if file.exists() else [])
            fresh = file.with_name(f"{file.name}.new")
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
                written.write("\n".join(keys) + "\n")
                written.flush()
                os.fsync(written.fileno())
            fresh.replace(file)
    except OSError as error:
        raise NoVaultKeys(f"The vault keys cannot be kept in {file} ({error.strerror}): make it writable.") from None
