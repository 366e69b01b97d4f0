"""Fetches a page through the forward proxy, which applies the address rules to every redirect."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.net.proxy import ForwardProxy, ProxySession

MAX_REDIRECTS = 20
_CODINGS: Final = frozenset({"br", "zstd", "compress", "x-compress"})
"""Content encodings that httpx may not decode: it requests those that it can."""
_HTTP: Final = re.compile(r"https?:", re.IGNORECASE)


class FetchFailed(Exception):
    """A request failed.

    Attributes:
        kind: `timeout`, `tls`, `redirects`, `invalid_url`, `too_large`, `body` (not in the encoding of its header),
            `body_cut` (incomplete), `not_http`, `headers` (too large or contradictory) or `connection`.
        target: Target of a redirect that is no valid http or https URL.
        by_proxy: Whether the forward proxy blocked or failed the request; then kind and message are those of the proxy.
    """

    def __init__(self, kind: str, message: str, target: str | None = None, *, by_proxy: bool = False) -> None:
        super().__init__(message)
        self.by_proxy = by_proxy
        self.kind = kind
        self.message = message
        self.target = target


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response, after redirects.

    Attributes:
        url: The final URL.
        headers: Headers with lower-case names.
        content: The decompressed body.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


async def fetch(
    url: str,
    proxy: ForwardProxy,
    session: ProxySession,
    *,
    timeout_seconds: float,
    max_bytes: int,
    headers: Mapping[str, str],
    cookies: Mapping[str, str] | None = None,
    follow_redirects: bool = True,
) -> Fetched:
    """Send a GET request.

    Args:
        url: The URL.
        proxy: The proxy to use.
        session: A session of the proxy.
        headers: Request headers, also sent to targets of redirects, except `authorization`.
        cookies: Sent to the host of *url*, as a browser does, also after a redirect, unless the host has replaced them.
        follow_redirects: False returns a redirect instead of following it, for headers that contain a secret.
        timeout_seconds: Timeout of the connection, and of each read.
        max_bytes: Maximum size of the decompressed body.

    Raises:
        FetchFailed: The request failed; if the proxy blocked or failed a hop, the reason is in `session.failures`.
    """
    credentials = httpx.Proxy(proxy.url, auth=(session.username, session.password))
    try:
        async with httpx.AsyncClient(
            proxy=credentials,
            verify=trusted_authorities(),
            trust_env=False,  # a proxy of the environment would bypass the address rules
            follow_redirects=follow_redirects,
            max_redirects=MAX_REDIRECTS,
            timeout=timeout_seconds,
            headers=dict(headers),
            event_hooks={"request": [_adding_cookies(url, cookies or {})], "response": [_prepare]},
        ) as client:
            return await _read(client, url, max_bytes)
    except httpx.TimeoutException as error:
        raise FetchFailed("timeout", f"{url} did not respond in time.") from error
    except httpx.TooManyRedirects as error:
        raise FetchFailed("redirects", f"{url} redirects more than {MAX_REDIRECTS} times.") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise FetchFailed("invalid_url", f"{url} redirects to a URL that is not http or https.") from error
    except httpx.DecodingError as error:
        raise FetchFailed("body", f"The body of {url} does not have the encoding of its Content-Encoding.") from error
    except httpx.HTTPError as error:
        raise FetchFailed(_kind(error), f"Fetching {url} failed: {str(error) or type(error).__name__}.") from error


def _adding_cookies(url: str, cookies: Mapping[str, str]) -> Callable[[httpx.Request], Awaitable[None]]:
    """Return a hook that adds the cookies; httpx removes the header Cookie when it follows a redirect."""
    origin = httpx.URL(url)

    async def add(request: httpx.Request) -> None:
        if request.url.host != origin.host or (origin.scheme == "https" and request.url.scheme != "https"):
            return
        sent = request.headers.get("cookie")
        known = {cookie.partition("=")[0] for cookie in sent.split("; ")} if sent else set()
        pairs = [f"{name}={value}" for name, value in cookies.items() if name not in known]
        if pairs:
            request.headers["cookie"] = "; ".join([*pairs, *([sent] if sent else [])])

    return add


def _kind(error: httpx.HTTPError) -> str:
    text = str(error)
    if "CERTIFICATE" in text or "SSL" in text:
        return "tls"
    if not isinstance(error, httpx.RemoteProtocolError):
        return "connection"
    if "complete message body" in text:
        return "body_cut"
    if "buffer too long" in text or "conflicting" in text:
        return "headers"
    return "connection" if "disconnected" in text or "unexpectedly closed" in text else "not_http"


async def _prepare(response: httpx.Response) -> None:
    """Read the headers as browsers do, where httpx does not.

    Raises:
        FetchFailed: The response redirects to another scheme or to an invalid URL, or cannot be decoded.
    """
    codings = [coding.strip().lower() for coding in response.headers.get("content-encoding", "").split(",")]
    decoded = response.request.headers.get("accept-encoding", "").split(", ")
    if unknown := next((coding for coding in codings if coding in _CODINGS and coding not in decoded), None):
        message = f"The body of {response.url} has the Content-Encoding {unknown}, which only a browser decodes."
        raise FetchFailed("body", message)
    if "x-gzip" in codings:
        response.headers["content-encoding"] = ", ".join(codings).replace("x-gzip", "gzip")
    if response.has_redirect_location:
        _resolve_location(response)


def _resolve_location(response: httpx.Response) -> None:
    locations = set(response.headers.get_list("location"))
    if len(locations) > 1:
        raise FetchFailed("headers", f"{response.url} sends several different Location headers.")
    location = locations.pop().strip()
    if not location:  # browsers show the body
        del response.headers["location"]
        return
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", location, re.IGNORECASE)
    if scheme is not None and not _HTTP.match(location):
        message = f"{response.url} redirects to {location[:300]}, which is not http or https."
        raise FetchFailed("invalid_url", message, location)
    try:
        response.headers["location"] = str(httpx.URL(_absolute(str(response.url), location)))
    except (httpx.InvalidURL, ValueError):
        message = f"{response.url} redirects to {location[:300]!r}, which is no valid URL."
        raise FetchFailed("invalid_url", message, location) from None


def _absolute(base: str, location: str) -> str:
    """Resolve a Location as browsers do: a backslash is a slash, and `http:x` is relative to a URL of that scheme.

    Raises:
        ValueError: It has no host, or an invalid one.
    """
    at = min((at for mark in "?#" if (at := location.find(mark)) >= 0), default=len(location))
    location = location[:at].replace("\\", "/") + location[at:]
    scheme, _, after = location.partition(":")
    if _HTTP.match(location) and not after.startswith("//"):
        location = (
            after if _HTTP.match(base) and base.startswith(f"{scheme.lower()}:") else f"{scheme}://{after.lstrip('/')}"
        )
    absolute: str = urljoin(base, location)
    if not after.strip("/") and _HTTP.match(location):
        raise ValueError("the URL has no host")
    if urlsplit(absolute).port == 0:  # raises ValueError above 65,535
        raise ValueError("the port is invalid")
    return absolute


async def _read(client: httpx.AsyncClient, url: str, max_bytes: int) -> Fetched:
    async with client.stream("GET", url) as response:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > max_bytes:
                raise FetchFailed("too_large", f"{url} has more than {max_bytes:,} bytes.")
        return Fetched(str(response.url), response.status_code, dict(response.headers), bytes(content))
