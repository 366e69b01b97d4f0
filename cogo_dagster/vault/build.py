"""Settings become the vault, and the client of its edge function."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cogo_dagster.queue.supabase.edge_functions import EdgeFailed, EdgeFunction, edge_function
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.vault.key_ring import KeyRing, Sealed, kept_keys
from cogo_dagster.vault.key_vault import KeptSecret, KeyVault
from cogo_dagster.vault.variables import no_variable, variable_in


@dataclass(frozen=True, slots=True)
class EdgeSecrets:
    """Secrets as the function `key-vault` has them: ciphertext."""

    function: EdgeFunction

    def secret(self, environment: str, reference: str) -> KeptSecret | None:
        """Return a secret as it was encrypted, or None; see `SecretSource`."""
        answer = self.function.call({"environment": environment, "reference": reference})
        row = answer.get("secret", "") if isinstance(answer, dict) else ""
        if row is None:
            return None
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("ciphertext", "key_id")):
            raise EdgeFailed("The edge function key-vault answers something that is no secret.")
        return KeptSecret(Sealed(row["ciphertext"], row["key_id"]), row.get("version"), row.get("updated_at"))


def build_vault(transport: Transport, settings: Settings, environment: str) -> KeyVault:
    """Return the secrets of an environment; variables speak for COGO_ENV only."""
    variable = variable_in(settings) if environment == settings.env else no_variable
    return KeyVault(transport, environment, vault_keys(settings), variable, edge_secrets(settings))


def vault_keys(settings: Settings) -> Callable[[], KeyRing]:
    """Return what finds the vault's keys: COGO_VAULT_KEYS, else those kept beside the embedded database.

    What is returned raises NoVaultKeys where there are none.
    """
    if settings.vault_keys is None and settings.uses_embedded_database:
        return lambda: kept_keys(vault_key_file(settings))
    given = settings.vault_keys.get_secret_value() if settings.vault_keys else ""
    return lambda: KeyRing.read(given, "COGO_VAULT_KEYS")


def vault_key_file(settings: Settings) -> Path:
    """Return where the vault's keys are kept for the embedded database."""
    return settings.home / "vault" / "keys"


# Kept, so that a function that failed is left alone by all who ask in this process.
@lru_cache(maxsize=16)
def edge_secrets(settings: Settings) -> EdgeSecrets | None:
    """Return the edge function key-vault; None where it cannot be called: it wants the admin token too."""
    function = edge_function(settings, "key-vault", settings.key_vault_url, settings.admin_token)
    return EdgeSecrets(function) if function and settings.admin_token else None
