"""The address and the service key of a Supabase project, validated before anything is sent."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.queue.supabase.bounded import bounded
from cogo_dagster.settings import SettingsError
from cogo_dagster.text import load_json

_KEY: Final = "SUPABASE_SERVICE_ROLE_KEY"
_SERVICE_PATHS: Final = ("/rest/v1", "/storage/v1", "/realtime/v1", "/auth/v1", "/functions/v1")


@dataclass(frozen=True, slots=True)
class Project:
    """The address of a project and its key.

    Attributes:
        url: Base URL without a trailing slash.
        key: A secret key (`sb_secret_…`) or a legacy JWT of the role service_role.
    """

    url: str
    key: str

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request; both must have the same value for a key that is not a JWT."""
        return {"apikey": self.key, "Authorization": f"Bearer {self.key}"}

    def http_client(self, timeout: httpx.Timeout, **options: Any) -> httpx.Client:
        """Return a new HTTP client, safe to use from several threads.

        HTTP/1.1 on purpose. Over HTTP/2 all calls of a process share one connection, and when the gateway closes it
        (GOAWAY, every few hundred requests), all calls in progress fail, executed or not. Idle connections are closed
        after 15 s, before a gateway in between drops them silently.
        """
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=15)
        return bounded(
            httpx.Client(
                verify=trusted_authorities(),
                http2=False,
                timeout=timeout,
                limits=limits,
                follow_redirects=False,
                **options,
            )
        )


def checked_project(url: str, key: str) -> Project:
    """Return the validated project.

    Raises:
        SettingsError: The URL is invalid, or the key is of a kind without the required privileges.
    """
    return Project(_checked_url(url), _checked_key(key))


def _checked_url(url: str) -> str:
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme in ("postgres", "postgresql"):
        raise SettingsError("SUPABASE_URL is a Postgres address: set COGO_DATABASE_URL to it instead.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise SettingsError("SUPABASE_URL is not a project's address: write it as https://PROJECT.supabase.co.")
    service = next((path for path in _SERVICE_PATHS if parts.path.endswith(path)), "")
    return url.removesuffix(service)


def _checked_key(key: str) -> str:
    key = key.strip()
    if not key.isascii() or any(character.isspace() for character in key):
        raise SettingsError(f"{_KEY} is not a key: copy it again from the project's API settings.")
    if key.startswith("sb_publishable_"):
        raise SettingsError(
            f"{_KEY} holds the publishable key, which has no access: set it to the secret key (sb_secret_…)."
        )
    role = (claims_of(key) or {}).get("role")
    if role in ("anon", "authenticated"):
        raise SettingsError(
            f"{_KEY} holds the {role} key, which has no access: set it to the service_role key (or sb_secret_…)."
        )
    return key


def claims_of(key: str) -> dict[str, Any] | None:
    """Return the claims of a JWT, unverified; None for a key that is not a JWT."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = load_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def reason_of(error: Exception) -> str:
    """Return the message of an HTTP client's error, or its class name if the message is empty."""
    return str(error) or type(error).__name__
