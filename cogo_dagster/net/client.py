"""Fetches a page through the forward proxy, which applies the address rules to every redirect."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.net.proxy import ForwardProxy, ProxySession

MAX_REDIRECTS = 20


class FetchFailed(Exception):
    """A request failed.

    Attributes:
        kind: `timeout`, `tls`, `redirects`, `invalid_url`, `too_large`, `body` (not in the encoding of its header),
            `body_cut` (incomplete) or `connection`.
        target: Target of a redirect that is neither http nor https.
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
            event_hooks={"request": [_adding_cookies(url, cookies or {})], "response": [_check_redirect]},
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
        kind = "tls" if "CERTIFICATE" in str(error) or "SSL" in str(error) else "connection"
        if "complete message body" in str(error):
            kind = "body_cut"
        raise FetchFailed(kind, f"Fetching {url} failed: {str(error) or type(error).__name__}.") from error


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


async def _check_redirect(response: httpx.Response) -> None:
    """Reject a redirect to another scheme, which httpx would treat as a path of the same host."""
    location = response.headers.get("location", "")
    if response.has_redirect_location and re.match(r"(?!https?:)[a-z][a-z0-9+.-]*:", location, re.IGNORECASE):
        message = f"{response.url} redirects to {location[:300]}, which is not http or https."
        raise FetchFailed("invalid_url", message, location)


async def _read(client: httpx.AsyncClient, url: str, max_bytes: int) -> Fetched:
    async with client.stream("GET", url) as response:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > max_bytes:
                raise FetchFailed("too_large", f"{url} has more than {max_bytes:,} bytes.")
        return Fetched(str(response.url), response.status_code, dict(response.headers), bytes(content))
