"""Where the admin token comes from: the environment, else the vault. The server and the doctor ask here."""

from dataclasses import dataclass, field
from typing import Final

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.vault.build import vault_keys
from cogo_dagster.vault.key_vault import KeyVault

REFERENCE: Final = "quality:notify:admin_token"
VARIABLE: Final = "QUALITY_NOTIFY_ADMIN_TOKEN"

SHORT_CHARACTERS: Final = 32
"""A token shorter than this can be guessed."""


@dataclass(frozen=True, slots=True)
class AdminTokens:
    """The admin token in each of its places; the environment's counts where both have one."""

    environment: str | None = field(repr=False)
    vault: str | None = field(repr=False)

    @property
    def token(self) -> str | None:
        """The one that counts."""
        return self.environment or self.vault

    @property
    def source(self) -> str | None:
        """Where that one stands, for people."""
        if self.environment:
            return VARIABLE
        return f"the vault's {REFERENCE}" if self.vault else None

    @property
    def differ(self) -> bool:
        """Whether the vault has another one, which opens nothing."""
        return None not in (self.environment, self.vault) and self.environment != self.vault


def admin_tokens(settings: Settings, transport: Transport) -> AdminTokens:
    """Look into the environment and into the vault of COGO_ENV.

    Raises:
        VaultError: The vault's cannot be decrypted.
        QueueError: The database cannot be asked.
    """
    stored = KeyVault(transport, settings.env, vault_keys(settings)).get(REFERENCE)
    return AdminTokens(token_of(settings), stored)


def admin_token(settings: Settings, transport: Transport) -> str | None:
    """Return the admin token; the vault is asked only where the environment has none. Raises as `admin_tokens`."""
    return token_of(settings) or admin_tokens(settings, transport).token


def token_of(settings: Settings) -> str | None:
    """Return the environment's."""
    return settings.admin_token.get_secret_value() if settings.admin_token else None
