"""Builds the vault and the client of its edge function from the settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cogo_dagster.queue.supabase.edge_functions import EdgeFailed, EdgeFunction, edge_function
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.vault.key_ring import KeyRing, Sealed, load_keys
from cogo_dagster.vault.key_vault import EncryptedSecret, KeyVault
from cogo_dagster.vault.variables import no_variable, variable_in


@dataclass(frozen=True, slots=True)
class EdgeSecrets:
    """Reads encrypted secrets from the edge function `key-vault`."""

    function: EdgeFunction

    def secret(self, environment: str, reference: str) -> EncryptedSecret | None:
        """Return an encrypted secret, or None; see `SecretSource`."""
        response = self.function.call({"environment": environment, "reference": reference})
        row = response.get("secret", "") if isinstance(response, dict) else ""
        if row is None:
            return None
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("ciphertext", "key_id")):
            raise EdgeFailed("The response of the edge function key-vault is not a secret.")
        return EncryptedSecret(Sealed(row["ciphertext"], row["key_id"]), row.get("version"), row.get("updated_at"))


def build_vault(transport: Transport, settings: Settings, environment: str) -> KeyVault:
    """Return the vault of an environment; environment variables apply to COGO_ENV only."""
    variable = variable_in(settings) if environment == settings.env else no_variable
    return KeyVault(transport, environment, vault_keys(settings), variable, edge_secrets(settings))


def vault_keys(settings: Settings) -> Callable[[], KeyRing]:
    """Return a function that reads the keys from COGO_VAULT_KEYS, or from the file of the embedded database.

    The function raises NoVaultKeys if there are no keys.
    """
    if settings.vault_keys is None and settings.uses_embedded_database:
        return lambda: load_keys(vault_key_file(settings))
    text = settings.vault_keys.get_secret_value() if settings.vault_keys else ""
    return lambda: KeyRing.read(text, "COGO_VAULT_KEYS")


def vault_key_file(settings: Settings) -> Path:
    """Return the file of the vault keys for the embedded database."""
    return settings.home / "vault" / "keys"


# Cached, so that all callers in this process skip a function that has failed.
@lru_cache(maxsize=16)
def edge_secrets(settings: Settings) -> EdgeSecrets | None:
    """Return the client of the edge function key-vault; None if it is not configured or the admin token is not set."""
    function = edge_function(settings, "key-vault", settings.key_vault_url, settings.admin_token)
    return EdgeSecrets(function) if function and settings.admin_token else None
