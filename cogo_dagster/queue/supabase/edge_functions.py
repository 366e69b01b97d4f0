"""Calls the project's edge functions, and gives up early: whoever asks has the database to fall back to."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
from pydantic import SecretStr

from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings

_TRIES: Final = 2
_PAUSE_SECONDS: Final = 0.3
_MOST_BYTES: Final = 1_000_000
_AWAY_SECONDS: Final = 60.0
"""After a failure a function is not asked for so long: each read would wait for it again."""


class EdgeFailed(Exception):
    """An edge function refused, or did not answer as it should: the database path serves."""


@dataclass(slots=True)
class EdgeFunction:
    """One function of the project.

    Its address is the operator's word, like the database's, and may be private; redirects are not followed, so that
    the headers reach nobody else.

    Attributes:
        headers: What lets us in; never shown.
        timeout_seconds: Longest wait for a connection, and again for the answer.
    """

    name: str
    url: str
    headers: Mapping[str, SecretStr] = field(repr=False)
    timeout_seconds: float = 5.0
    clock: Callable[[], float] = field(repr=False, default=time.monotonic)
    _away_until: float = field(init=False, repr=False, default=float("-inf"))

    def call(self, arguments: Mapping[str, Json]) -> Json:
        """POST the arguments as JSON and return the JSON that comes back.

        Raises:
            EdgeFailed: No answer in time, a refusal, or no JSON; the sentence says which.
        """
        if self.clock() < self._away_until:
            raise EdgeFailed(f"The edge function {self.name} failed a moment ago and is not asked again yet.")
        try:
            return self._call(arguments)
        except EdgeFailed:
            self._away_until = self.clock() + _AWAY_SECONDS
            raise

    def _call(self, arguments: Mapping[str, Json]) -> Json:
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        failure = ""
        with httpx.Client(timeout=self.timeout_seconds, headers=headers, follow_redirects=False) as client:
            for attempt in range(_TRIES):
                if attempt:
                    time.sleep(_PAUSE_SECONDS)
                try:
                    status, body = _post(client, self.url, arguments)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    failure = f"does not answer ({type(error).__name__})"
                    continue
                if status < 500 and status != 429:
                    return self._read(status, body)
                failure = f"answers {status}"
        raise EdgeFailed(f"The edge function {self.name} {failure}.")

    def _read(self, status: int, body: bytes) -> Json:
        try:
            answer = httpx.Response(status, content=body).json()
        except ValueError:
            raise EdgeFailed(f"The edge function {self.name} answers {status} without JSON.") from None
        if status == 200:
            return answer
        code = answer.get("code") if isinstance(answer, dict) else None
        raise EdgeFailed(f"The edge function {self.name} answers {status} ({str(code)[:60]}).")


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


def _post(client: httpx.Client, url: str, arguments: Mapping[str, Json]) -> tuple[int, bytes]:
    with client.stream("POST", url, json=dict(arguments)) as response:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MOST_BYTES:
                raise httpx.DecodingError("The answer is too long.")
        return response.status_code, bytes(body)
