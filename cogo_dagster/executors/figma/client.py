"""The client of Figma's REST API, and the download of rendered images.

All requests use the forward proxy and its address rules. The token is sent only to the API, never after a redirect;
links to rendered images are signed and need no credentials.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from cogo_dagster.executors.figma.errors import FigmaError, FigmaTimeout, error_message, figma_error
from cogo_dagster.executors.figma.options import FigmaOptions
from cogo_dagster.executors.figma.rate_gate import RateGate, Tier
from cogo_dagster.net.client import Fetched, FetchFailed
from cogo_dagster.net.guarded import GuardedClient
from cogo_dagster.net.proxy import ForwardProxy
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json

MAX_JSON_BYTES: Final = 256 * 1024**2
MAX_IMAGE_BYTES: Final = 100 * 1024**2
_PERMANENT: Final = frozenset({"blocked_address", "invalid_url", "too_large", "tls", "redirects"})
_EXPIRED_STATUSES: Final = frozenset({400, 403, 404, 410})


class LinkExpired(Exception):
    """The signed link of a rendered image has expired: a new link is needed."""


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON response with its original bytes."""

    body: Mapping[str, Json]
    content: bytes


class FigmaClient:
    """Makes the API calls of one attempt of one job.

    Args:
        options: Base URL and token.
        proxy: A started proxy.
        gate: The rate limit, checked before each API call.

    Attributes:
        calls: The number of API calls by tier.
    """

    def __init__(self, options: FigmaOptions, proxy: ForwardProxy, gate: RateGate) -> None:
        self._options = options
        self._http = GuardedClient(proxy)
        self._gate = gate
        self._token = options.token or ""
        self.calls: dict[str, int] = {}

    async def meta(self, file_key: str) -> Mapping[str, Json]:
        """Return the file's metadata, such as `name`, `version` and `last_touched_at`; a cheap call."""
        document = await self._call(Tier.CHEAP, f"/v1/files/{quote(file_key)}/meta", {})
        return _mapping(document, "file")

    async def file(self, file_key: str, parameters: Mapping[str, str]) -> Document:
        """Return the file's document."""
        document = await self._call(Tier.EXPENSIVE, f"/v1/files/{quote(file_key)}", parameters)
        _mapping(document, "document")
        return document

    async def nodes(self, file_key: str, parameters: Mapping[str, str]) -> Mapping[str, Json]:
        """Return each node of the parameter `ids`; null for a node that does not exist."""
        document = await self._call(Tier.EXPENSIVE, f"/v1/files/{quote(file_key)}/nodes", parameters)
        return _mapping(document, "nodes")

    async def images(self, file_key: str, parameters: Mapping[str, str]) -> Mapping[str, Json]:
        """Return a link for each node of the parameter `ids`; null for a node that cannot be rendered."""
        document = await self._call(Tier.EXPENSIVE, f"/v1/images/{quote(file_key)}", parameters)
        if document.body.get("err"):
            raise FigmaError(400, error_message(document.content, self._token))
        return _mapping(document, "images")

    async def download(self, link: str) -> bytes:
        """Download a rendered image.

        Raises:
            LinkExpired: A new link is needed.
            ExecutionFailed: The download failed.
        """
        if urlsplit(link).scheme != urlsplit(self._options.api).scheme:
            message = "fetch a rendered image: the scheme of Figma's link is not https."
            raise ExecutionFailed(message, error_class="invalid_url", retryable=False)
        try:
            response = await self._get(link, {}, MAX_IMAGE_BYTES)
        except FetchFailed as error:
            raise _fetch_error(f"fetch a rendered image from {_host(link)}", error) from None
        if response.status in _EXPIRED_STATUSES:
            raise LinkExpired
        if response.status != 200:
            message = f"fetch a rendered image from {_host(link)}: the server responded with {response.status}."
            raise ExecutionFailed(message, error_class="http_status", retryable=True)
        return response.content

    async def _call(self, tier: Tier, path: str, parameters: Mapping[str, str]) -> Document:
        await self._gate.acquire(tier)
        self.calls[tier] = self.calls.get(tier, 0) + 1
        query = urlencode(parameters, safe=",")
        url = f"{self._options.api}{path}" + (f"?{query}" if query else "")
        headers = {"x-figma-token": self._token, "accept": "application/json"}
        try:
            response = await self._get(url, headers, MAX_JSON_BYTES)
        except FetchFailed as error:
            if error.kind == "too_large":
                limit = f"a response of more than {MAX_JSON_BYTES // 1024**2} MiB"
                raise FigmaError(413, limit) from error
            if error.kind == "timeout" and not error.by_proxy:
                raise FigmaTimeout(self._options.call_seconds) from error
            raise _fetch_error(f"request {path} from Figma", error) from None
        if response.status == 429:
            raise await self._gate.rate_limited(tier, response.headers)
        if response.status != 200:
            raise figma_error(response.status, response.content, self._token)
        try:
            body = await asyncio.to_thread(json.loads, response.content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise FigmaError(200, "not a JSON object")
        return Document(body, response.content)

    async def _get(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Fetched:
        return await self._http.get(
            url, headers, timeout_seconds=self._options.call_seconds, max_bytes=max_bytes, follow_redirects=False
        )


_REASONS: Final[Mapping[str, str]] = {
    "timeout": "the request timed out",
    "tls": "the TLS certificate or handshake is invalid",
    "too_large": "the response is too large",
    "invalid_url": "the URL is invalid",
}


def _fetch_error(operation: str, error: FetchFailed) -> ExecutionFailed:
    reason = error.sentence if error.by_proxy else _REASONS.get(error.kind, "the connection failed")
    # Without the advice to use an allow-list: there is none for Figma's links.
    message = f"{operation}: {reason.partition(': add ')[0].rstrip('.')}."
    return ExecutionFailed(message, error_class=error.kind, retryable=error.kind not in _PERMANENT)


def _mapping(document: Document, name: str) -> Mapping[str, Json]:
    found = document.body.get(name)
    if not isinstance(found, dict):
        raise FigmaError(200, f"no {name} in the response")
    return found


def _host(link: str) -> str:
    """Return the host of a link; its path and query contain the signature."""
    return urlsplit(link).hostname or "an unknown host"
