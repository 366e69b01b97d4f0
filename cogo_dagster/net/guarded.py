"""GET requests under the address rules, through a temporary forward proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.client import Fetched, FetchFailed, fetch
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import MARK_HEADER, ForwardProxy

_MAX_BYTES = 2_000_000


class GuardedClient:
    """Sends requests through a running proxy.

    Args:
        proxy: A started proxy, which the caller stops.
    """

    def __init__(self, proxy: ForwardProxy) -> None:
        self._proxy = proxy

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        max_bytes: int = _MAX_BYTES,
        follow_redirects: bool = True,
    ) -> Fetched:
        """Return the response, regardless of its status; see `fetch`.

        Raises:
            FetchFailed: The request failed; if the proxy blocked or failed it, with kind and message of the proxy.
        """
        with self._proxy.session() as session:
            try:
                response = await fetch(
                    url,
                    self._proxy,
                    session,
                    timeout_seconds=timeout_seconds,
                    max_bytes=max_bytes,
                    headers=headers,
                    follow_redirects=follow_redirects,
                )
            except FetchFailed as error:
                if not session.failures:
                    raise
                failure = session.failures[-1]
                raise FetchFailed(failure.kind, failure.message, by_proxy=True) from error
            if session.failures and response.headers.get(MARK_HEADER) == session.mark:
                failure = session.failures[-1]
                raise FetchFailed(failure.kind, failure.message, by_proxy=True)
            return response


@contextlib.asynccontextmanager
async def guarded(allowed: AllowList, connect_seconds: float) -> AsyncIterator[GuardedClient]:
    """Run a proxy for requests.

    Args:
        allowed: Hosts that may have private addresses.
        connect_seconds: Timeout of the lookup, and of the connection.
    """
    proxy = await ForwardProxy(Dialer(allowed, connect_seconds=connect_seconds)).start()
    try:
        yield GuardedClient(proxy)
    finally:
        await proxy.stop()


class RequestFailed(Exception):
    """A request failed; the message is one sentence, which may contain the URL."""


async def request(client: GuardedClient, url: str, headers: Mapping[str, str], timeout_seconds: float) -> Fetched:
    """Return the response after redirects, regardless of its status.

    Raises:
        RequestFailed: The address is blocked, the host is unreachable, or the request timed out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await client.get(url, headers, timeout_seconds=timeout_seconds)
    except TimeoutError:
        raise RequestFailed(f"No response within {timeout_seconds:g} s.") from None
    except FetchFailed as error:
        raise RequestFailed(error.message) from None


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    allowed: AllowList | None = None,
    timeout_seconds: float = 10,
) -> Fetched:
    """Send one request, for code that runs in threads; see `request`.

    Args:
        url: The URL.
        headers: Request headers.
        allowed: Hosts that may have private addresses.
        timeout_seconds: Timeout of the whole request.

    Raises:
        RequestFailed: See `request`.
    """

    async def once() -> Fetched:
        async with guarded(allowed or AllowList(), timeout_seconds) as client:
            return await request(client, url, headers or {}, timeout_seconds)

    return asyncio.run(once())


def allow_host_of(url: str) -> AllowList:
    """Return an allow-list with the host of a URL that the operator has set, such as SUPABASE_URL."""
    parts = urlsplit(url)
    try:
        return AllowList.of([parts.hostname] if parts.hostname else [], "SUPABASE_URL")
    except InvalidAddress:
        return AllowList()
