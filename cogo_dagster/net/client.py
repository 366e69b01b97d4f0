"""Fetch one page over HTTP through the forward proxy, so that every redirect meets the address rules."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from cogo_dagster.net.proxy import ForwardProxy, ProxySession

MAX_REDIRECTS = 20


class FetchFailed(Exception):
    """No answer.

    Attributes:
        kind: `timeout`, `tls`, `redirects`, `invalid_url`, `too_large`, `body` (not in the encoding that its header
            names), `body_cut` (it ends early) or `connection`.
        target: Where a redirect leads that is neither http nor https.
        by_proxy: The forward proxy refused or failed the request, and the kind and the sentence are its own.
    """

    def __init__(self, kind: str, sentence: str, target: str | None = None, *, by_proxy: bool = False) -> None:
        super().__init__(sentence)
        self.by_proxy = by_proxy
        self.kind = kind
        self.sentence = sentence
        self.target = target


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, after redirects.

    Attributes:
        url: Where it came from in the end.
        headers: Names in lower case.
        content: The body, decompressed.
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
    follow_redirects: bool = True,
) -> Fetched:
    """GET *url*.

    Args:
        headers: Sent to wherever a redirect leads as well, `authorization` apart.
        follow_redirects: False returns the redirect itself: for headers that hold a secret.
        timeout_seconds: Longest wait for a connection, and between two pieces of the answer.
        max_bytes: Longest body, decompressed.

    Raises:
        FetchFailed: No answer; if the proxy refused or failed a hop, `session.failures` says why.
    """
    credentials = httpx.Proxy(proxy.url, auth=(session.username, session.password))
    try:
        async with httpx.AsyncClient(
            proxy=credentials,
            verify=_certificates(),
            trust_env=False,  # the environment's own proxy would go past the rules
            follow_redirects=follow_redirects,
            max_redirects=MAX_REDIRECTS,
            timeout=timeout_seconds,
            headers=dict(headers),
            event_hooks={"response": [_stays_on_the_web]},
        ) as client:
            return await _read(client, url, max_bytes)
    except httpx.TimeoutException as error:
        raise FetchFailed("timeout", f"{url} did not answer in time.") from error
    except httpx.TooManyRedirects as error:
        raise FetchFailed("redirects", f"{url} redirects more than {MAX_REDIRECTS} times.") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise FetchFailed("invalid_url", f"{url} leads to an address that is not http or https.") from error
    except httpx.DecodingError as error:
        raise FetchFailed("body", f"The body of {url} is not in the encoding that Content-Encoding names.") from error
    except httpx.HTTPError as error:
        kind = "tls" if "CERTIFICATE" in str(error) or "SSL" in str(error) else "connection"
        if "complete message body" in str(error):
            kind = "body_cut"
        raise FetchFailed(kind, f"Fetching {url} failed: {error}.") from error


async def _stays_on_the_web(response: httpx.Response) -> None:
    """Tell where a redirect leads before httpx takes it for a path of the same host."""
    location = response.headers.get("location", "")
    if response.has_redirect_location and re.match(r"(?!https?:)[a-z][a-z0-9+.-]*:", location, re.IGNORECASE):
        sentence = f"{response.url} leads to {location[:300]}, which is not http or https."
        raise FetchFailed("invalid_url", sentence, location)


@cache
def _certificates() -> ssl.SSLContext:
    """Read the authorities once, those of SSL_CERT_FILE or SSL_CERT_DIR where set: it takes as long as a download."""
    return httpx.create_ssl_context()


async def _read(client: httpx.AsyncClient, url: str, max_bytes: int) -> Fetched:
    async with client.stream("GET", url) as response:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > max_bytes:
                raise FetchFailed("too_large", f"{url} has more than {max_bytes:,} bytes.")
        return Fetched(str(response.url), response.status_code, dict(response.headers), bytes(content))
