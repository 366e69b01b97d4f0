"""Reads the admin token from the environment or the vault."""

from dataclasses import dataclass, field
from typing import Final

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.vault.build import vault_keys
from cogo_dagster.vault.key_vault import KeyVault

REFERENCE: Final = "quality:notify:admin_token"
VARIABLE: Final = "QUALITY_NOTIFY_ADMIN_TOKEN"

SHORT_CHARACTERS: Final = 32
"""Shorter tokens can be guessed."""


@dataclass(frozen=True, slots=True)
class AdminTokens:
    """The admin token in the environment and in the vault; that of the environment takes precedence."""

    environment: str | None = field(repr=False)
    vault: str | None = field(repr=False)

    @property
    def token(self) -> str | None:
        """Return the effective token."""
        return self.environment or self.vault

    @property
    def source(self) -> str | None:
        """Return where the effective token is set, for messages."""
        if self.environment:
            return VARIABLE
        return f"{REFERENCE} in the vault" if self.vault else None

    @property
    def differ(self) -> bool:
        """Whether the vault has a different token, which is not effective."""
        return None not in (self.environment, self.vault) and self.environment != self.vault


def admin_tokens(settings: Settings, transport: Transport) -> AdminTokens:
    """Read the admin token from the environment and from the vault of COGO_ENV.

    Raises:
        VaultError: The token in the vault cannot be decrypted.
        QueueError: The database is unreachable or rejects the call.
    """
    stored = KeyVault(transport, settings.env, vault_keys(settings)).get(REFERENCE)
    return AdminTokens(token_of(settings), stored)


def admin_token(settings: Settings, transport: Transport) -> str | None:
    """Return the effective admin token; reads the vault only if the environment has none. Raises as `admin_tokens`."""
    return token_of(settings) or admin_tokens(settings, transport).token


def token_of(settings: Settings) -> str | None:
    """Return the admin token of the environment."""
    return settings.admin_token.get_secret_value() if settings.admin_token else None
