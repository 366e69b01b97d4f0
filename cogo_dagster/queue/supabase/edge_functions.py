"""Calls the project's edge functions with short timeouts, since callers fall back to the database."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
from pydantic import SecretStr

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings

_TRIES: Final = 2
_PAUSE_SECONDS: Final = 0.3
_MAX_BYTES: Final = 1_000_000
_BACKOFF_SECONDS: Final = 60.0
"""How long a function is not called after a failure, so that not every read waits for its timeout."""


class EdgeFailed(Exception):
    """An edge function rejected the call or gave no valid response; the caller uses the database."""


@dataclass(slots=True)
class EdgeFunction:
    """One function of the project.

    Its URL is configured by the operator, as the database's is, and may be private. Redirects are not followed, so that
    the headers are sent to no other host.

    Attributes:
        headers: Credentials; never shown.
        timeout_seconds: Timeout of the connection, and of each wait for the response.
    """

    name: str
    url: str
    headers: Mapping[str, SecretStr] = field(repr=False)
    timeout_seconds: float = 5.0
    clock: Callable[[], float] = field(repr=False, default=time.monotonic)
    _closed_until: float = field(init=False, repr=False, default=float("-inf"))

    def call(self, arguments: Mapping[str, Json]) -> Json:
        """POST the arguments as JSON and return the JSON of the response.

        Raises:
            EdgeFailed: There was no response in time, an error status, or no JSON; the message says which.
        """
        if self.clock() < self._closed_until:
            raise EdgeFailed(f"The edge function {self.name} failed less than a minute ago and is not called yet.")
        try:
            return self._call(arguments)
        except EdgeFailed:
            self._closed_until = self.clock() + _BACKOFF_SECONDS
            raise

    def _call(self, arguments: Mapping[str, Json]) -> Json:
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        failure = ""
        with httpx.Client(
            verify=trusted_authorities(), timeout=self.timeout_seconds, headers=headers, follow_redirects=False
        ) as client:
            for attempt in range(_TRIES):
                if attempt:
                    time.sleep(_PAUSE_SECONDS)
                try:
                    status, body = _post(client, self.url, arguments)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    failure = f"did not respond ({type(error).__name__})"
                    continue
                if status < 500 and status != 429:
                    return self._read(status, body)
                failure = f"returned {status}"
        raise EdgeFailed(f"The edge function {self.name} {failure}.")

    def _read(self, status: int, body: bytes) -> Json:
        try:
            document = httpx.Response(status, content=body).json()
        except ValueError:
            raise EdgeFailed(f"The edge function {self.name} returned {status} without JSON.") from None
        if status == 200:
            return document
        code = document.get("code") if isinstance(document, dict) else None
        raise EdgeFailed(f"The edge function {self.name} returned {status} ({str(code)[:60]}).")


def edge_function(
    settings: Settings, name: str, url: str | None, token: SecretStr | None = None
) -> EdgeFunction | None:
    """Return an edge function; None if its URL or the anon key is not set.

    Args:
        url: Its URL; by default that of the project's function with this name.
        token: The admin token, for a function that requires it.
    """
    address = url or (f"{settings.supabase_url.rstrip('/')}/functions/v1/{name}" if settings.supabase_url else None)
    if address is None or settings.supabase_anon_key is None:
        return None
    headers = {
        "Authorization": SecretStr(f"Bearer {settings.supabase_anon_key.get_secret_value()}"),
        "apikey": settings.supabase_publishable_key or settings.supabase_anon_key,
    }
    return EdgeFunction(name, address, headers | ({"x-admin-token": token} if token else {}))


def _post(client: httpx.Client, url: str, arguments: Mapping[str, Json]) -> tuple[int, bytes]:
    with client.stream("POST", url, json=dict(arguments)) as response:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MAX_BYTES:
                raise httpx.DecodingError("The response is too long.")
        return response.status_code, bytes(body)
