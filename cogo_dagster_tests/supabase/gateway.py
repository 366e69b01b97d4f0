"""The gateway before the services: which keys it knows, and what it makes of them."""

from starlette.requests import HTTPConnection

from cogo_dagster_tests.supabase.keys import ROLES, legacy_key

UNKNOWN_KEY = {
    "message": "Invalid API key",
    "hint": "Double check your Supabase `anon` or `service_role` API key.",
}


def is_known(connection: HTTPConnection) -> bool:
    """Whether the key is one of the project's; secret keys are refused to browsers."""
    key = given_key(connection)
    from_browser = connection.headers.get("user-agent", "").startswith("Mozilla/")
    return key in ROLES and not (key.startswith("sb_secret_") and from_browser)


def given_key(connection: HTTPConnection) -> str:
    """Return the key of the header, else of the query."""
    return connection.headers.get("apikey") or connection.query_params.get("apikey", "")


def authorization(connection: HTTPConnection) -> str:
    """Return the Authorization header as the service behind the gateway sees it."""
    given = connection.headers.get("authorization", "")
    key = given_key(connection)
    if given.startswith("Bearer sb_"):
        # Only the exception for clients that send the key twice: any other value is rejected by the service.
        return translated(key) if given == f"Bearer {key}" else given
    return given or translated(key)


def translated(key: str) -> str:
    """Return what stands for a key alone; a legacy key comes without `Bearer`, and so counts for nothing."""
    return f"Bearer {legacy_key(ROLES[key])}" if key.startswith("sb_") and key in ROLES else key
