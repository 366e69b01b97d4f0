"""GET requests under the address rules: a forward proxy for as long as they are made, and what it says of failures."""

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
    """Makes requests through a proxy that runs.

    Args:
        proxy: Started; whoever started it stops it.
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
        """Return the answer, whatever its status; see `fetch`.

        Raises:
            FetchFailed: No answer; where the proxy refused or failed the request, with the proxy's kind and sentence.
        """
        with self._proxy.session() as session:
            try:
                answer = await fetch(
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
                refused = session.failures[-1]
                raise FetchFailed(refused.kind, refused.sentence, by_proxy=True) from error
            if session.failures and answer.headers.get(MARK_HEADER) == session.mark:
                refused = session.failures[-1]
                raise FetchFailed(refused.kind, refused.sentence, by_proxy=True)
            return answer


@contextlib.asynccontextmanager
async def guarded(allowed: AllowList, connect_seconds: float) -> AsyncIterator[GuardedClient]:
    """Run a proxy for as long as requests are made.

    Args:
        allowed: Hosts that may be private.
        connect_seconds: Longest wait for a connection.
    """
    proxy = await ForwardProxy(Dialer(allowed, connect_seconds=connect_seconds)).start()
    try:
        yield GuardedClient(proxy)
    finally:
        await proxy.stop()


class NoAnswer(Exception):
    """There was no answer; the message is one sentence, which may quote the address."""


async def ask(client: GuardedClient, url: str, headers: Mapping[str, str], timeout_seconds: float) -> Fetched:
    """Return the answer, whatever its status, after redirects.

    Raises:
        NoAnswer: Refused by the address rules, not reachable, or too slow as a whole.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await client.get(url, headers, timeout_seconds=timeout_seconds)
    except TimeoutError:
        raise NoAnswer(f"There was no answer within {timeout_seconds:g} s.") from None
    except FetchFailed as error:
        raise NoAnswer(error.sentence) from None


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    allowed: AllowList | None = None,
    timeout_seconds: float = 10,
) -> Fetched:
    """Ask once, for checks that run in threads; see `ask`.

    Args:
        url: The address.
        headers: Sent with the request.
        allowed: Hosts that may be private.
        timeout_seconds: For the whole.

    Raises:
        NoAnswer: See `ask`.
    """

    async def once() -> Fetched:
        async with guarded(allowed or AllowList(), timeout_seconds) as client:
            return await ask(client, url, headers or {}, timeout_seconds)

    return asyncio.run(once())


def trusting(url: str) -> AllowList:
    """Return the list that allows the host of an address which is the operator's own, as SUPABASE_URL is."""
    parts = urlsplit(url)
    try:
        return AllowList.of([parts.hostname] if parts.hostname else [], "SUPABASE_URL")
    except InvalidAddress:
        return AllowList()
