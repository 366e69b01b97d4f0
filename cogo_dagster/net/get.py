"""One GET to an outside service, under the address rules, for checks that run in threads."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from cogo_dagster.net.addresses import AllowList, InvalidAddress
from cogo_dagster.net.client import Fetched, FetchFailed, fetch
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.proxy import MARK_HEADER, ForwardProxy

_MOST_BYTES: Final = 2_000_000


class NoAnswer(Exception):
    """Nobody answered; the message is one sentence, which may quote the address."""


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    allowed: AllowList | None = None,
    timeout_seconds: float = 10,
) -> Fetched:
    """Return the answer, whatever its status, after redirects.

    Args:
        allowed: Hosts that may be private.
        timeout_seconds: For the whole.

    Raises:
        NoAnswer: Refused by the address rules, not reachable, or too slow.
    """
    return asyncio.run(_get(url, headers or {}, allowed or AllowList(), timeout_seconds))


def trusting(url: str) -> AllowList:
    """Return the list that allows the host of an address which is the operator's own, as SUPABASE_URL is."""
    parts = urlsplit(url)
    try:
        return AllowList.of([parts.hostname] if parts.hostname else [], "SUPABASE_URL")
    except InvalidAddress:
        return AllowList()


async def ask(url: str, headers: Mapping[str, str], proxy: ForwardProxy, timeout_seconds: float) -> Fetched:
    """Return the answer as `get` does, through a proxy that runs already."""
    with proxy.session() as session:
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await fetch(
                    url, proxy, session, timeout_seconds=timeout_seconds, max_bytes=_MOST_BYTES, headers=headers
                )
        except TimeoutError:
            raise NoAnswer(f"There was no answer within {timeout_seconds:g} s.") from None
        except FetchFailed as error:
            raise NoAnswer(session.failures[-1].sentence if session.failures else error.sentence) from None
        if session.failures and answer.headers.get(MARK_HEADER) == session.mark:
            raise NoAnswer(session.failures[-1].sentence)
        return answer


async def _get(url: str, headers: Mapping[str, str], allowed: AllowList, timeout_seconds: float) -> Fetched:
    proxy = await ForwardProxy(Dialer(allowed, connect_seconds=timeout_seconds)).start()
    try:
        return await ask(url, headers, proxy, timeout_seconds)
    finally:
        await proxy.stop()
