"""Reads the gate's numbers from the metrics API of another machine, in the same form as from the database."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.client import Fetched, FetchFailed
from cogo_dagster.net.guarded import guarded
from cogo_dagster.quality.records import GateSummary, WeeklySummary
from cogo_dagster.text import load_json

T = TypeVar("T", bound=BaseModel)

_TIMEOUT_SECONDS: Final = 30.0
_MAX_BYTES: Final = 10_000_000


class MetricsUnavailable(Exception):
    """The metrics API is unreachable or its response is invalid; the message states what to do."""


class MetricsApi:
    """Reads the metrics API at METRICS_BASE, which may be a private address.

    Every method raises `MetricsUnavailable`.

    Args:
        token: The admin token, if any; without it, failures have no messages. It is sent only over TLS or to this
            machine.
    """

    def __init__(self, base: str, token: SecretStr | None = None) -> None:
        self._base = base.rstrip("/")
        self._token = token if token and _is_confidential(self._base) else None

    def summary(self, hours: float = 24, branch: str | None = None) -> GateSummary:
        """Return the numbers of the last *hours*."""
        return self._get("/api/metrics/gate/summary", {"hours": f"{hours:g}", "branch": branch}, GateSummary)

    def weekly(self, week: str | None = None, branch: str | None = None) -> WeeklySummary:
        """Return a week with the previous week."""
        return self._get("/api/metrics/weekly/summary", {"week": week, "branch": branch}, WeeklySummary)

    def _get(self, path: str, query: Mapping[str, str | None], model: type[T]) -> T:
        parameters = urlencode({name: value for name, value in query.items() if value is not None})
        url = f"{self._base}{path}" + (f"?{parameters}" if parameters else "")
        try:
            response = asyncio.run(_fetch(url, self._base, self._headers()))
        except (FetchFailed, InvalidAddress) as error:
            reason = str(error).rstrip(".")
            raise MetricsUnavailable(f"The metrics API is unreachable ({reason}): check METRICS_BASE.") from error
        if response.status != 200:
            raise MetricsUnavailable(
                f"The metrics API responded with {response.status} to {path}: {_error_detail(response)}"
            )
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            message = f"The response of {self._base} to {path} is invalid: METRICS_BASE must be a COGO metrics API."
            raise MetricsUnavailable(message) from None

    def _headers(self) -> dict[str, str]:
        token = {"x-admin-token": self._token.get_secret_value()} if self._token else {}
        return {"accept": "application/json", **token}


async def _fetch(url: str, base: str, headers: Mapping[str, str]) -> Fetched:
    parts = urlsplit(base)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    allowed = AllowList.of([f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"], "METRICS_BASE")
    async with guarded(allowed, _TIMEOUT_SECONDS) as client:
        return await client.get(url, headers, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)


def _error_detail(response: Fetched) -> str:
    try:
        document: Any = load_json(response.content)
        detail = document.get("detail") or document.get("title") or ""
    except (ValueError, AttributeError):
        detail = ""
    return " ".join(str(detail).split())[:200] or "see the log of the server."


def _is_confidential(base: str) -> bool:
    parts = urlsplit(base)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
