"""Requests to addresses that people configure: through the forward proxy, so that the address rules hold.

No redirect is followed, an answer is read up to a limit, and one deadline covers everything. What goes wrong is said
without the address, since the address of a webhook is its secret.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import MARK_HEADER, ForwardProxy, ProxySession

ALLOW_VARIABLE: Final = "WEBHOOK_ALLOWED_HOSTS"
MAX_ANSWER_BYTES: Final = 64 * 1024


class PostFailed(Exception):
    """No answer.

    Attributes:
        kind: `timeout`, `tls`, `dns`, `connection`, `blocked_address` or `invalid_url`.
        sentence: Why, without the address.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said.

    Attributes:
        headers: Names in lower case.
        body: The first 64 kB, as text.
    """

    status: int
    headers: Mapping[str, str]
    body: str


class Webhooks:
    """Sends requests through a proxy of its own.

    Args:
        proxy: The running proxy.
        deadline_seconds: Longest time for one request, from the lookup to the answer's last byte.
    """

    def __init__(self, proxy: ForwardProxy, deadline_seconds: float = 15) -> None:
        self._proxy = proxy
        self.deadline_seconds = deadline_seconds

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """Send one request and read its answer, whatever its status.

        Raises:
            PostFailed: No answer in time, or the address is refused.
        """
        with self.session() as session:
            credentials = httpx.Proxy(self._proxy.url, auth=(session.username, session.password))
            try:
                async with (
                    asyncio.timeout(self.deadline_seconds),
                    httpx.AsyncHTTPTransport(proxy=credentials) as transport,
                ):
                    answer = await self._exchange(transport, method, url, headers, content)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise PostFailed("invalid_url", "The address is not a URL: it begins with https://.") from None
            except (httpx.HTTPError, TimeoutError, OSError) as error:
                raise self.failure(session, error) from None
            self.refuse_proxys_own(session, answer.headers)
            return answer

    async def _exchange(
        self,
        transport: httpx.AsyncHTTPTransport,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Answer:
        # Not over httpx's client: it writes the whole address into its log, follows the environment, and more.
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
        """Admit one request; at its end its connections are closed, whatever they still wait for."""
        with self._proxy.session() as session:
            yield session

    def proxy_url(self, session: ProxySession) -> str:
        """Return the proxy's address with a session's credential, for a client library that wants it so."""
        parts = urlsplit(self._proxy.url)
        return urlunsplit(parts._replace(netloc=f"{session.username}:{session.password}@{parts.netloc}"))

    def failure(self, session: ProxySession, error: BaseException) -> PostFailed:
        """Say why there was no answer: the proxy knows best."""
        if session.failures:
            refused = session.failures[-1]
            return PostFailed(refused.kind, refused.sentence)
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            return PostFailed("timeout", f"There was no whole answer within {self.deadline_seconds:g} s.")
        tls = any(word in str(error) for word in ("CERTIFICATE", "SSL"))
        return PostFailed("tls" if tls else "connection", _connection_sentence(tls=tls))

    def refuse_proxys_own(self, session: ProxySession, headers: Mapping[str, str]) -> None:
        """Raise if an answer was the proxy's own and not the receiver's.

        Raises:
            PostFailed: It was.
        """
        if session.failures and headers.get(MARK_HEADER) == session.mark:
            raise PostFailed(session.failures[-1].kind, session.failures[-1].sentence)


@contextlib.asynccontextmanager
async def webhooks(allowed_hosts: tuple[str, ...], deadline_seconds: float = 15) -> AsyncIterator[Webhooks]:
    """Run a proxy for as long as messages are sent.

    Args:
        allowed_hosts: WEBHOOK_ALLOWED_HOSTS.

    Raises:
        InvalidAddress: One of them is no host.
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
        if len(content) >= MAX_ANSWER_BYTES:
            break
    return bytes(content[:MAX_ANSWER_BYTES]).decode(errors="replace")


def _connection_sentence(*, tls: bool) -> str:
    return "Its certificate is not acceptable." if tls else "The connection broke before there was an answer."
