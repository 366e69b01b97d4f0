"""The gateway in front of the services: which keys it accepts, and which header it passes on."""

from starlette.requests import HTTPConnection

from cogo_dagster_tests.supabase.keys import ROLES, legacy_key

UNKNOWN_KEY = {
    "message": "Invalid API key",
    "hint": "Double check your Supabase `anon` or `service_role` API key.",
}


def is_known(connection: HTTPConnection) -> bool:
    """Whether the key is one of the project's; secret keys are rejected from browsers."""
    key = given_key(connection)
    from_browser = connection.headers.get("user-agent", "").startswith("Mozilla/")
    return key in ROLES and not (key.startswith("sb_secret_") and from_browser)


def given_key(connection: HTTPConnection) -> str:
    """Return the key from the header, else from the query."""
    return connection.headers.get("apikey") or connection.query_params.get("apikey", "")


def authorization(connection: HTTPConnection) -> str:
    """Return the Authorization header as the service behind the gateway sees it."""
    given = connection.headers.get("authorization", "")
    key = given_key(connection)
    if given.startswith("Bearer sb_"):
        # Translated only if the client sent the key in both headers: the service rejects any other value.
        return translated(key) if given == f"Bearer {key}" else given
    return given or translated(key)


def translated(key: str) -> str:
    """Return the Authorization header for a key alone; a legacy key has no `Bearer`, so it is ignored."""
    return f"Bearer {legacy_key(ROLES[key])}" if key.startswith("sb_") and key in ROLES else key
