"""The address and the service key of a Supabase project, checked before anything is sent."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from cogo_dagster.queue.supabase.bounded import bounded
from cogo_dagster.settings import SettingsError

_KEY: Final = "SUPABASE_SERVICE_ROLE_KEY"
_SERVICE_PATHS: Final = ("/rest/v1", "/storage/v1", "/realtime/v1", "/auth/v1", "/functions/v1")


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project is and the key that opens it.

    Attributes:
        url: Base address without a slash at the end.
        key: A secret key (`sb_secret_…`) or a legacy JWT of the role service_role.
    """

    url: str
    key: str

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request carries; the two values must be equal for a key that is no JWT."""
        return {"apikey": self.key, "Authorization": f"Bearer {self.key}"}

    def http_client(self, timeout: httpx.Timeout, **options: Any) -> httpx.Client:
        """Return a new HTTP client, safe to use from several threads.

        HTTP/1.1 on purpose. Over HTTP/2 every call of a process shares one connection, and when the gateway retires
        it (GOAWAY, every few hundred requests) all calls under way fail, done or not. An idle connection is given up
        after 15 s, before a gateway in between gives it up without telling.
        """
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=15)
        return bounded(httpx.Client(http2=False, timeout=timeout, limits=limits, follow_redirects=False, **options))


def checked_project(url: str, key: str) -> Project:
    """Return the project.

    Raises:
        SettingsError: The address is none, or the key is of a kind that can do nothing here.
    """
    return Project(_checked_url(url), _checked_key(key))


def _checked_url(url: str) -> str:
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme in ("postgres", "postgresql"):
        raise SettingsError("SUPABASE_URL is a Postgres address: put it into COGO_DATABASE_URL.")
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
            f"{_KEY} holds the publishable key, which may do nothing: put the secret key (sb_secret_…) there."
        )
    role = (claims_of(key) or {}).get("role")
    if role in ("anon", "authenticated"):
        raise SettingsError(
            f"{_KEY} holds the {role} key, which may do nothing: put the service_role key (or sb_secret_…) there."
        )
    return key


def claims_of(key: str) -> dict[str, Any] | None:
    """Return what a JWT claims; None for a key that is no JWT. Whether it is genuine is the server's to say."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def reason_of(error: Exception) -> str:
    """Return what an error of the HTTP client says; some say nothing, and then their class does."""
    return str(error) or type(error).__name__
