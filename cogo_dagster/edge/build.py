"""Settings become the clients of the edge functions."""

from pydantic import SecretStr

from cogo_dagster.edge.functions import EdgeFunction, EdgeRouter, EdgeSecrets
from cogo_dagster.settings import Settings


def edge_router(settings: Settings) -> EdgeRouter | None:
    """Return the edge function router-select; None where it cannot be called."""
    function = edge_function(settings, "router-select", settings.router_select_url)
    return EdgeRouter(function) if function else None


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
