"""The key vault: secrets by reference `provider:usage:name`, one scope for each environment.

A read asks an environment variable first, then the edge function, then the database. The last two answer with
ciphertext, which is decrypted here: neither ever holds a key.
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

MOST_CHARACTERS: Final = 32_768
_REFERENCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}(:[a-z][a-z0-9_-]{0,62}){2}")
_VARIABLES: Final = {"googlechat:notify:webhook_url": "GOOGLE_CHAT_WEBHOOK_URL"}
"""Those whose variable has another name than the rule gives it."""


class SecretSource(Protocol):
    """Somebody else who knows secrets by reference: the edge function."""

    def secret(self, environment: str, reference: str) -> "KeptSecret | None":
        """Return a secret as it was encrypted, or None; raise EdgeFailed where there is no answer."""
        ...


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A secret as it was encrypted.

    Attributes:
        version: Which of the values it has had; None where the source does not say.
        updated_at: As the source writes it.
    """

    sealed: Sealed
    version: int | None = None
    updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that was found.

    Attributes:
        source: `variable NAME`, `edge function` or `database`.
        version: Which of the values it has had; None for a variable.
    """

    reference: str
    environment: str
    value: str = field(repr=False)
    source: str
    version: int | None = None
    updated_at: str | None = None


@dataclass(slots=True)
class Rotation:
    """What a rotation did.

    Attributes:
        changed: Secrets encrypted anew.
        skipped: Those that somebody set meanwhile.
        unreadable: Those whose key is not here, as `environment reference`.
    """

    key_id: str
    changed: int = 0
    skipped: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeyVault:
    """Reads and keeps the secrets of one environment.

    Attributes:
        keys: Asked at every use, so that a new key is known at once.
        variable: From an environment variable's name to its value.
        edge: None where the edge function is not to be asked.
    """

    transport: Transport = field(repr=False)
    environment: str
    keys: Callable[[], KeyRing] = field(repr=False)
    variable: Callable[[str], str | None] = field(repr=False, default=lambda _: None)
    edge: SecretSource | None = field(repr=False, default=None)

    def get(self, reference: str) -> str | None:
        """Return a secret's value; None when there is none.

        Raises:
            VaultError: It is there and cannot be decrypted.
            QueueError: The database cannot be asked.
        """
        found = self.find(reference)
        return found.value if found else None

    def find(self, reference: str) -> Secret | None:
        """Return a secret and where it was found; see `get`."""
        name = variable_of(reference)
        value = self.variable(name)
        if value:
            return Secret(reference, self.environment, value, f"variable {name}")
        kept, source = self._kept(reference)
        if kept is None:
            return None
        value = self.keys().open(self.environment, reference, kept.sealed)
        return Secret(reference, self.environment, value, source, kept.version, kept.updated_at)

    def put(self, reference: str, value: str, actor: str | None = None) -> StoredSecret:
        """Encrypt and keep a value.

        Raises:
            VaultError: No key, or no value.
        """
        check_reference(reference)
        if not value or len(value) > MOST_CHARACTERS or any(map(_unstorable, value)):
            raise InvalidReference(
                f"A secret must be text of 1 to {MOST_CHARACTERS:,} characters: encode bytes, in base64 for example."
            )
        sealed = self.keys().seal(self.environment, reference, value)
        answer = self.transport.call(
            "set_secret",
            {
                "environment": self.environment,
                "reference": reference,
                "ciphertext": sealed.ciphertext,
                "key_id": sealed.key_id,
                "actor": actor,
            },
        )
        return StoredSecret.model_validate(answer)

    def remove(self, reference: str, actor: str | None = None) -> bool:
        """Forget a secret; return whether there was one."""
        check_reference(reference)
        arguments = {"environment": self.environment, "reference": reference, "actor": actor}
        return bool(self.transport.call("delete_secret", arguments)["changed"])

    def secrets(self, *, everywhere: bool = False) -> list[SecretRow]:
        """Return which secrets there are, without values, at most 1,000."""
        given = {"environment": None if everywhere else self.environment}
        return read_list(SecretRow, self.transport.call("list_secrets", given))

    def rotate(self, actor: str | None = None, batch_size: int = 100) -> Rotation:
        """Encrypt the secrets of all environments with the newest key, batch by batch.

        It may be interrupted and repeated: each secret is readable at every moment by whoever has both keys.
        """
        ring = self.keys()
        done = Rotation(ring.newest)
        after: Cursor | None = None
        while True:
            given = {"key_id": ring.newest, "after": after, "batch_size": batch_size}
            batch = UnrotatedSecrets.model_validate(self.transport.call("list_unrotated_secrets", given))
            if fresh := [sealed for row in batch.secrets if (sealed := _again(ring, row, done))]:
                arguments = {"secrets": fresh, "key_id": ring.newest, "actor": actor}
                answer = RotatedSecrets.model_validate(self.transport.call("rotate_secrets", arguments))
                done.changed += answer.changed
                done.skipped += answer.skipped
            if not batch.more:
                return done
            after = batch.secrets[-1].cursor("environment", "reference")

    def _kept(self, reference: str) -> tuple[KeptSecret | None, str]:
        """Ask the edge function, then the database: also where the function knows nothing."""
        if self.edge is not None:
            try:
                kept = self.edge.secret(self.environment, reference)
            except EdgeFailed:
                kept = None
            if kept is not None:
                return kept, "edge function"
        given = {"environment": self.environment, "reference": reference}
        answer = self.transport.call("get_secret", given)
        return None if answer is None else _kept_secret(SealedSecret.model_validate(answer)), "database"


def check_reference(reference: str) -> None:
    """Refuse what is no reference.

    Raises:
        InvalidReference: One sentence with an example.
    """
    if not _REFERENCE.fullmatch(reference):
        raise InvalidReference(
            f"{reference[:100]!r} is no reference: write provider:usage:name in lower case, "
            "such as googlechat:notify:webhook_url."
        )


def variable_of(reference: str) -> str:
    """Return the environment variable that stands for a reference: its words in upper case, joined by underscores.

    Raises:
        InvalidReference: It is none.
    """
    check_reference(reference)
    return _VARIABLES.get(reference) or re.sub("[:-]", "_", reference).upper()


def _unstorable(character: str) -> bool:
    """Whether it is no character of a text: null, or what stands for a byte that could not be decoded."""
    return character == "\x00" or "\ud800" <= character <= "\udfff"


def _kept_secret(row: SealedSecret) -> KeptSecret:
    return KeptSecret(Sealed(row.ciphertext, row.key_id), row.version, row.document["updated_at"])


def _again(ring: KeyRing, row: SealedSecret, done: Rotation) -> dict[str, str | int] | None:
    place = (row.environment, row.reference)
    try:
        sealed = ring.seal(*place, ring.open(*place, Sealed(row.ciphertext, row.key_id)))
    except VaultError:
        done.unreadable.append(" ".join(place))
        return None
    return {
        "environment": place[0],
        "reference": place[1],
        "version": row.version,
        "ciphertext": sealed.ciphertext,
    }
