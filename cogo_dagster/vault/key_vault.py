"""The key vault: secrets by reference `provider:usage:name`, per environment.

A secret is read from an environment variable, else from the edge function, else from the database. The edge function
and the database return ciphertext, which is decrypted here: they never have a key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.rows.secrets import RotatedSecrets, SealedSecret, SecretRow, StoredSecret, UnrotatedSecrets
from cogo_dagster.queue.supabase.edge_functions import EdgeFailed
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.vault.key_ring import KeyRing, Sealed
from cogo_dagster.vault.vault_errors import InvalidReference, VaultError

MAX_CHARACTERS: Final = 32_768
_REFERENCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}(:[a-z][a-z0-9_-]{0,62}){2}")
_VARIABLES: Final = {"googlechat:notify:webhook_url": "GOOGLE_CHAT_WEBHOOK_URL"}
"""References whose variable is not derived from the reference."""


class SecretSource(Protocol):
    """Another source of encrypted secrets: the edge function."""

    def secret(self, environment: str, reference: str) -> "EncryptedSecret | None":
        """Return an encrypted secret, or None; raise EdgeFailed if the request fails."""
        ...


@dataclass(frozen=True, slots=True)
class EncryptedSecret:
    """An encrypted secret.

    Attributes:
        version: Number of the value, from 1; None if unknown.
        updated_at: Timestamp, as text of the source.
    """

    sealed: Sealed
    version: int | None = None
    updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A decrypted secret.

    Attributes:
        source: `variable NAME`, `edge function` or `database`.
        version: Number of the value, from 1; None for a variable.
    """

    reference: str
    environment: str
    value: str = field(repr=False)
    source: str
    version: int | None = None
    updated_at: str | None = None


@dataclass(slots=True)
class Rotation:
    """Result of a rotation.

    Attributes:
        key_id: ID of the new key.
        changed: Number of secrets encrypted again.
        skipped: Number of secrets that were set concurrently.
        unreadable: Secrets whose key is missing, as `environment reference`.
    """

    key_id: str
    changed: int = 0
    skipped: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeyVault:
    """Reads and stores the secrets of one environment.

    Attributes:
        keys: Returns the keys; called at every use, so that a new key is used immediately.
        variable: Returns the value of an environment variable.
        edge: The edge function; None if it is not used.
    """

    transport: Transport = field(repr=False)
    environment: str
    keys: Callable[[], KeyRing] = field(repr=False)
    variable: Callable[[str], str | None] = field(repr=False, default=lambda _: None)
    edge: SecretSource | None = field(repr=False, default=None)

    def get(self, reference: str) -> str | None:
        """Return the value of a secret; None if it does not exist.

        Raises:
            VaultError: The secret cannot be decrypted.
            QueueError: The database is unreachable or rejects the call.
        """
        found = self.find(reference)
        return found.value if found else None

    def find(self, reference: str) -> Secret | None:
        """Return a secret with its source; see `get`."""
        name = variable_of(reference)
        value = self.variable(name)
        if value:
            return Secret(reference, self.environment, value, f"variable {name}")
        stored, source = self._stored(reference)
        if stored is None:
            return None
        value = self.keys().open(self.environment, reference, stored.sealed)
        return Secret(reference, self.environment, value, source, stored.version, stored.updated_at)

    def put(self, reference: str, value: str, actor: str | None = None) -> StoredSecret:
        """Encrypt and store a value.

        Raises:
            VaultError: There is no key, or the value or reference is invalid.
        """
        check_reference(reference)
        if not value or len(value) > MAX_CHARACTERS or any(map(_unstorable, value)):
            raise InvalidReference(
                f"A secret must be text of 1 to {MAX_CHARACTERS:,} characters: encode bytes, for example in base64."
            )
        sealed = self.keys().seal(self.environment, reference, value)
        result = self.transport.call(
            "set_secret",
            {
                "environment": self.environment,
                "reference": reference,
                "ciphertext": sealed.ciphertext,
                "key_id": sealed.key_id,
                "actor": actor,
            },
        )
        return StoredSecret.model_validate(result)

    def remove(self, reference: str, actor: str | None = None) -> bool:
        """Delete a secret; return whether it existed."""
        check_reference(reference)
        arguments = {"environment": self.environment, "reference": reference, "actor": actor}
        return bool(self.transport.call("delete_secret", arguments)["changed"])

    def secrets(self, *, everywhere: bool = False) -> list[SecretRow]:
        """Return the rows of at most 1,000 secrets, without values."""
        arguments = {"environment": None if everywhere else self.environment}
        return read_list(SecretRow, self.transport.call("list_secrets", arguments))

    def rotate(self, actor: str | None = None, batch_size: int = 100) -> Rotation:
        """Encrypt the secrets of all environments with the newest key, in batches.

        A rotation may be interrupted and repeated: processes with both keys can read every secret at any time.
        """
        ring = self.keys()
        done = Rotation(ring.newest)
        after: Cursor | None = None
        while True:
            page = {"key_id": ring.newest, "after": after, "batch_size": batch_size}
            batch = UnrotatedSecrets.model_validate(self.transport.call("list_unrotated_secrets", page))
            if fresh := [sealed for row in batch.secrets if (sealed := _reencrypt(ring, row, done))]:
                arguments = {"secrets": fresh, "key_id": ring.newest, "actor": actor}
                result = RotatedSecrets.model_validate(self.transport.call("rotate_secrets", arguments))
                done.changed += result.changed
                done.skipped += result.skipped
            if not batch.more:
                return done
            after = batch.secrets[-1].cursor("environment", "reference")

    def _stored(self, reference: str) -> tuple[EncryptedSecret | None, str]:
        """Return a secret from the edge function, or from the database if the function fails or does not have it."""
        if self.edge is not None:
            try:
                stored = self.edge.secret(self.environment, reference)
            except EdgeFailed:
                stored = None
            if stored is not None:
                return stored, "edge function"
        arguments = {"environment": self.environment, "reference": reference}
        result = self.transport.call("get_secret", arguments)
        return None if result is None else _encrypted(SealedSecret.model_validate(result)), "database"


def check_reference(reference: str) -> None:
    """Check that a text is a reference.

    Raises:
        InvalidReference: The text is not a reference; the message has an example.
    """
    if not _REFERENCE.fullmatch(reference):
        raise InvalidReference(
            f"{reference[:100]!r} is not a reference: use provider:usage:name in lower case, "
            "such as googlechat:notify:webhook_url."
        )


def variable_of(reference: str) -> str:
    """Return the environment variable of a reference: its parts in upper case, joined by underscores.

    Raises:
        InvalidReference: The text is not a reference.
    """
    check_reference(reference)
    return _VARIABLES.get(reference) or re.sub("[:-]", "_", reference).upper()


def _unstorable(character: str) -> bool:
    """Whether a character cannot be stored: U+0000, or a surrogate that represents an undecodable byte."""
    return character == "\x00" or "\ud800" <= character <= "\udfff"


def _encrypted(row: SealedSecret) -> EncryptedSecret:
    return EncryptedSecret(Sealed(row.ciphertext, row.key_id), row.version, row.document["updated_at"])


def _reencrypt(ring: KeyRing, row: SealedSecret, done: Rotation) -> dict[str, str | int] | None:
    scope = (row.environment, row.reference)
    try:
        sealed = ring.seal(*scope, ring.open(*scope, Sealed(row.ciphertext, row.key_id)))
    except VaultError:
        done.unreadable.append(" ".join(scope))
        return None
    return {
        "environment": scope[0],
        "reference": scope[1],
        "version": row.version,
        "ciphertext": sealed.ciphertext,
    }
