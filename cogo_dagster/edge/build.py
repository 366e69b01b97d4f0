"""Settings become the vault, the router, and the clients of their edge functions."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pydantic import SecretStr

from cogo_dagster.edge.functions import EdgeFunction, EdgeRouter, EdgeSecrets
from cogo_dagster.edge.key_ring import KeyRing, kept_keys
from cogo_dagster.edge.key_vault import KeyVault
from cogo_dagster.edge.router import Router
from cogo_dagster.edge.variables import no_variable, variable_in
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings


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


def build_router(transport: Transport, settings: Settings) -> Router:
    """Return what chooses providers."""
    return Router(transport, edge_router(settings))


# Kept, so that a function that failed is left alone by all who ask in this process.
@lru_cache(maxsize=16)
def edge_router(settings: Settings) -> EdgeRouter | None:
    """Return the edge function router-select; None where it cannot be called."""
    function = edge_function(settings, "router-select", settings.router_select_url)
    return EdgeRouter(function) if function else None


@lru_cache(maxsize=16)
def edge_secrets(settings: Settings) -> EdgeSecrets | None:
    """Return the edge function key-vault; None where it cannot be called: it wants the admin token too."""
    function = edge_function(settings, "key-vault", settings.key_vault_url, settings.admin_token)
    return EdgeSecrets(function) if function and settings.admin_token else None


def edge_function(
    settings: Settings, name: str, url: str | None, token: SecretStr | None = None
) -> EdgeFunction | None:
    """Return an edge function as the runbook calls it; None where its address or the anon key is not set.

    Args:
        url: Its address; by default that of the project's function of this name.
        token: The admin token, for a function that wants it.
    """
    address = url or (f"{settings.supabase_url.rstrip('/')}/functions/v1/{name}" if settings.supabase_url else None)
    if address is None or settings.supabase_anon_key is None:
        return None
    headers = {
        "Authorization": SecretStr(f"Bearer {settings.supabase_anon_key.get_secret_value()}"),
        "apikey": settings.supabase_publishable_key or settings.supabase_anon_key,
    }
    return EdgeFunction(name, address, headers | ({"x-admin-token": token} if token else {}))
