"""Determines the cause of a failed navigation if the browser's message does not contain it."""

import re
from urllib.parse import urljoin

from playwright.async_api import Error, Request, Response

from cogo_dagster.executors.browser.errors import (
    NO_DOCUMENT,
    BrowserFailure,
    no_document,
    no_response,
    starts_download,
    unsettled,
    unsupported_url,
)
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.tasks import StepTimeout, with_timeout
from cogo_dagster.net.client import MAX_REDIRECTS, FetchFailed, fetch
from cogo_dagster.net.proxy import ForwardProxy, ProxySession

REFETCH_TIMEOUT_SECONDS = 5
MAX_BYTES = 1_000_000
_ADDRESS = re.compile(r" at (https?://\S+)")
_UNDIAGNOSED = re.compile(r"ERR_(ABORTED|UNSAFE_REDIRECT|INVALID_REDIRECT|UNKNOWN_URL_SCHEME|DISALLOWED_URL_SCHEME)")
_WAITED = re.compile(
    r"(waiting for (scheduled navigations|\".*\" navigation) to finish\.*|elementHandle\.press\(.*\))\s*\Z"
)
"""The end of the log of a call that waited for a navigation, which Playwright does even if it has no document."""

_REPLACED = re.compile(r"ERR_HTTP_RESPONSE_CODE_FAILURE|ERR_INVALID_AUTH_CREDENTIALS")


async def replaced_response(failed: Request | None, message: str) -> Response | None:
    """Return the response that a browser replaced by its own error page, if *message* is about one.

    A full Chromium does this for an empty response with an error status, and for status 401; a headless shell does not.

    Args:
        failed: The request of the document that failed.
        message: The error of the navigation.
    """
    return await response_to(failed) if _REPLACED.search(message) else None


async def response_to(failed: Request | None) -> Response | None:
    """Return the response to a failed request, if there was one."""
    if failed is None:
        return None
    try:
        return await with_timeout(failed.response(), REFETCH_TIMEOUT_SECONDS)
    except (Error, StepTimeout):
        return None


async def diagnose(
    events: Events, message: str, wait_until: str, *, proxy: ForwardProxy, session: ProxySession
) -> BrowserFailure | None:
    """Return a more specific classification of a navigation that failed with *message*, if there is one.

    If the browser reports neither status nor URL, the document is requested again over plain HTTP.
    """
    failed, late = events.failed, re.search(r"Timeout [\d.]+ ?ms exceeded", message)
    if not late and not _UNDIAGNOSED.search(message):
        return None
    if failed is not None and not _is_web(failed.url):
        return unsupported_url(failed.url)
    if late:
        return await _unsettled(events, wait_until, message) if events.navigations else None
    if failed is None:  # the browser reports no failed request for a response without a document
        address = _ADDRESS.search(message)
        return await _refetch(address[1], proxy, session) if address else None
    response = await response_to(failed)
    if response is not None:
        return no_document(response.status) if response.status in NO_DOCUMENT else None
    return await _refetch(failed.url, proxy, session)


async def diagnose_timeout(events: Events, message: str) -> BrowserFailure | None:
    """Return why a step other than a navigation timed out, if the page was opening another document."""
    document = await events.latest_document()
    if document is None:
        return None
    if is_pending(document):
        return no_response(document.url, message)
    response = document.existing_response
    if response is not None and response.status in NO_DOCUMENT and _WAITED.search(message):
        return no_document(response.status, document.url)
    return None


def is_pending(document: Request) -> bool:
    """Whether there is no response to the request yet. Until then, Chromium runs no script in the page."""
    return document.existing_response is None and document.failure is None


async def _unsettled(events: Events, wait_until: str, message: str) -> BrowserFailure:
    """Classify a page that has loaded and then opened another document before it reached the state *wait_until*."""
    document = await events.latest_document()
    if document is not None:
        if document.url == events.download:
            return starts_download(document.url, wait_until)
        if is_pending(document):
            return no_response(document.url, message)
        response = document.existing_response
        if response is not None and response.status in NO_DOCUMENT:
            return no_document(response.status, document.url)
    return unsettled(wait_until, events.navigations, message)


async def _refetch(url: str, proxy: ForwardProxy, session: ProxySession) -> BrowserFailure | None:
    for _ in range(MAX_REDIRECTS):
        try:
            response = await fetch(
                url,
                proxy,
                session,
                timeout_seconds=REFETCH_TIMEOUT_SECONDS,
                max_bytes=MAX_BYTES,
                headers={},
                follow_redirects=False,
            )
        except FetchFailed as error:
            return unsupported_url(error.target) if error.target else None
        if response.status in NO_DOCUMENT:
            return no_document(response.status)
        location = response.headers.get("location")
        if location is None or not 300 <= response.status < 400:
            return None
        url = urljoin(url, location)
    return None


def _is_web(url: str) -> bool:
    return re.match(r"https?://[^/]", url, re.IGNORECASE) is not None
