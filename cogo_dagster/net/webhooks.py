"""Requests to configured webhooks, through the forward proxy and its address rules.

Redirects are not followed, responses are read up to a limit, and one timeout covers the whole request. Messages do not
contain the URL, because the URL of a webhook is a secret.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from cogo_dagster.certificates import trusted_authorities
from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import MARK_HEADER, ForwardProxy, ProxySession

ALLOW_VARIABLE: Final = "WEBHOOK_ALLOWED_HOSTS"
MAX_RESPONSE_BYTES: Final = 64 * 1024


class PostFailed(Exception):
    """A request failed.

    Attributes:
        kind: `timeout`, `tls`, `dns`, `connection`, `blocked_address` or `invalid_url`.
        sentence: The reason, without the URL.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        headers: Headers with lower-case names.
        body: The first 64 KiB, as text.
    """

    status: int
    headers: Mapping[str, str]
    body: str


class Webhooks:
    """Sends requests through a proxy.

    Args:
        proxy: A running proxy.
        deadline_seconds: Timeout of a request, from the lookup to the last byte of the response.
    """

    def __init__(self, proxy: ForwardProxy, deadline_seconds: float = 15) -> None:
        self._proxy = proxy
        self.deadline_seconds = deadline_seconds

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """Send a request and return the response, regardless of its status.

        Raises:
            PostFailed: The request failed or timed out, or the address is blocked.
        """
        with self.session() as session:
            credentials = httpx.Proxy(self._proxy.url, auth=(session.username, session.password))
            try:
                async with (
                    asyncio.timeout(self.deadline_seconds),
                    httpx.AsyncHTTPTransport(proxy=credentials, verify=trusted_authorities()) as transport,
                ):
                    response = await self._exchange(transport, method, url, headers, content)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise PostFailed("invalid_url", "The address is not a URL: use one with https://.") from None
            except (httpx.HTTPError, TimeoutError, OSError) as error:
                raise self.failure(session, error) from None
            self.check_origin(session, response.headers)
            return response

    async def _exchange(
        self,
        transport: httpx.AsyncHTTPTransport,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Answer:
        # Not with httpx.Client, which logs the complete URL and uses proxies of the environment.
        waits = dict.fromkeys(("connect", "read", "write", "pool"), self.deadline_seconds)
        fields = {**headers, "Accept-Encoding": "identity"}
        request = httpx.Request(method, url, headers=fields, content=content, extensions={"timeout": waits})
        response = await transport.handle_async_request(request)
        try:
            return Answer(response.status_code, dict(response.headers), await _body(response))
        finally:
            await response.aclose()

    @contextlib.contextmanager
    def session(self) -> Iterator[ProxySession]:
        """Create a session of the proxy for one request; at the end its connections are closed."""
        with self._proxy.session() as session:
            yield session

    def proxy_url(self, session: ProxySession) -> str:
        """Return the URL of the proxy with the credential of a session, for client libraries."""
        parts = urlsplit(self._proxy.url)
        return urlunsplit(parts._replace(netloc=f"{session.username}:{session.password}@{parts.netloc}"))

    def failure(self, session: ProxySession, error: BaseException) -> PostFailed:
        """Return the failure of a request, from the proxy if it recorded one."""
        if session.failures:
            recorded = session.failures[-1]
            return PostFailed(recorded.kind, recorded.message)
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            return PostFailed("timeout", f"No complete response within {self.deadline_seconds:g} s.")
        tls = any(mark in str(error) for mark in ("CERTIFICATE", "SSL"))
        return PostFailed("tls" if tls else "connection", _connection_message(tls=tls))

    def check_origin(self, session: ProxySession, headers: Mapping[str, str]) -> None:
        """Check that a response is from the receiver.

        Raises:
            PostFailed: The response is from the proxy, which blocked or failed the request.
        """
        if session.failures and headers.get(MARK_HEADER) == session.mark:
            raise PostFailed(session.failures[-1].kind, session.failures[-1].message)


@contextlib.asynccontextmanager
async def webhooks(allowed_hosts: tuple[str, ...], deadline_seconds: float = 15) -> AsyncIterator[Webhooks]:
    """Run a proxy for webhooks.

    Args:
        allowed_hosts: Value of WEBHOOK_ALLOWED_HOSTS.
        deadline_seconds: Timeout of a request.

    Raises:
        InvalidAddress: An entry is not a host or host:port.
    """
    try:
        allowed = AllowList.of(allowed_hosts, ALLOW_VARIABLE)
    except InvalidAddress as error:
        raise InvalidAddress(f"{ALLOW_VARIABLE}: {error}") from None
    proxy = await ForwardProxy(Dialer(allowed, connect_seconds=min(10, deadline_seconds))).start()
    try:
        yield Webhooks(proxy, deadline_seconds)
    finally:
        await proxy.stop()


async def _body(response: httpx.Response) -> str:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= MAX_RESPONSE_BYTES:
            break
    return bytes(content[:MAX_RESPONSE_BYTES]).decode(errors="replace")


def _connection_message(*, tls: bool) -> str:
    return "The TLS certificate is not valid." if tls else "The connection was closed before a response."
