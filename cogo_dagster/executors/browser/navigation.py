"""Finds out why a navigation failed when the browser's message does not say."""

import re
from urllib.parse import urljoin

from playwright.async_api import Error

from cogo_dagster.executors.browser.errors import NO_DOCUMENT, Verdict, no_document, unopenable, unsettled
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.tasks import StepTimeout, bounded
from cogo_dagster.net.client import MAX_REDIRECTS, FetchFailed, fetch
from cogo_dagster.net.proxy import ForwardProxy, ProxySession

ASK_SECONDS = 5
MAX_BYTES = 1_000_000
_ADDRESS = re.compile(r" at (https?://\S+)")
_UNEXPLAINED = re.compile(r"ERR_(ABORTED|UNSAFE_REDIRECT|INVALID_REDIRECT|UNKNOWN_URL_SCHEME|DISALLOWED_URL_SCHEME)")


async def explained(
    events: Events, message: str, wait_until: str, *, proxy: ForwardProxy, session: ProxySession
) -> Verdict | None:
    """Return a more specific classification of a navigation that failed with *message*, if there is one.

    If the browser reports neither status nor URL, the document is requested again over plain HTTP.
    """
    failed, late = events.failed, re.search(r"Timeout [\d.]+ ?ms exceeded", message)
    if not late and not _UNEXPLAINED.search(message):
        return None
    if failed is not None and not _is_web(failed.url):
        return unopenable(failed.url)
    if late:
        return unsettled(wait_until, events.navigations, message) if events.navigations else None
    if failed is None:  # the browser reports no failed request for a response without a document
        address = _ADDRESS.search(message)
        return await _asked_again(address[1], proxy, session) if address else None
    try:
        response = await bounded(failed.response(), ASK_SECONDS)
    except (Error, StepTimeout):
        response = None
    if response is not None:
        return no_document(response.status) if response.status in NO_DOCUMENT else None
    return await _asked_again(failed.url, proxy, session)


async def _asked_again(url: str, proxy: ForwardProxy, session: ProxySession) -> Verdict | None:
    for _ in range(MAX_REDIRECTS):
        try:
            answer = await fetch(
                url,
                proxy,
                session,
                timeout_seconds=ASK_SECONDS,
                max_bytes=MAX_BYTES,
                headers={},
                follow_redirects=False,
            )
        except FetchFailed as error:
            return unopenable(error.target) if error.target else None
        if answer.status in NO_DOCUMENT:
            return no_document(answer.status)
        location = answer.headers.get("location")
        if location is None or not 300 <= answer.status < 400:
            return None
        url = urljoin(url, location)
    return None


def _is_web(url: str) -> bool:
    return re.match(r"https?://[^/]", url, re.IGNORECASE) is not None
