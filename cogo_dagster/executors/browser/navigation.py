"""Determines the cause of a failed navigation if the browser's message does not contain it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urljoin

from playwright.async_api import Error, Page, Request, Response

from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.errors import (
    NO_DOCUMENT,
    BrowserFailure,
    classify_status,
    is_web,
    no_document,
    no_response,
    unsettled,
    unsupported_url,
)
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.tasks import StepTimeout, with_timeout
from cogo_dagster.net.client import MAX_REDIRECTS, FetchFailed, fetch
from cogo_dagster.net.proxy import ForwardProxy, ProxySession

REFETCH_TIMEOUT_SECONDS = 5
MAX_BYTES = 1_000_000
MANY_NAVIGATIONS = 3
"""Navigations during a step that timed out, from which they are the cause."""
_ADDRESS = re.compile(r" at (https?://\S+)")
_UNDIAGNOSED = re.compile(
    r"ERR_(ABORTED|UNSAFE_REDIRECT|INVALID_REDIRECT|UNSAFE_PORT|UNKNOWN_URL_SCHEME|DISALLOWED_URL_SCHEME)"
)
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


async def document_requests(page: Page, timeout_seconds: float = REFETCH_TIMEOUT_SECONDS) -> list[Request]:
    """Return the requests for documents of the page among its latest hundred requests, with those that failed."""
    try:
        requests = await with_timeout(page.requests(), timeout_seconds)
        return [one for one in requests if one.is_navigation_request() and one.frame is page.main_frame]
    except Exception:  # noqa: BLE001 - Playwright raises a plain Exception if its driver ends
        return []


async def last_navigation(page: Page, timeout_seconds: float = REFETCH_TIMEOUT_SECONDS) -> Request | None:
    """Return the latest request for a document of the page, if the driver returns it in time."""
    return next(reversed(await document_requests(page, timeout_seconds)), None)


def is_pending(document: Request) -> bool:
    """Whether there is no response to the request yet. Until then, Chromium runs no script in the page."""
    return document.existing_response is None and document.failure is None


async def unreachable_url(devtools: DevTools) -> str | None:
    """Return the URL for which the page shows an error page of the browser."""
    try:
        tree = await with_timeout(devtools.send("Page.getFrameTree", {}), REFETCH_TIMEOUT_SECONDS)
    except (Error, StepTimeout):
        return None
    url = tree["frameTree"]["frame"].get("unreachableUrl")
    return url if isinstance(url, str) else None


async def without_document(page: Page, events: Events, message: str) -> BrowserFailure | None:
    """Return why the latest navigation of a page led to no document.

    There is no response yet, or its status has no document, or it is a download; None if it led to a document.

    Args:
        message: The error of the step that timed out.
    """
    request = await last_navigation(page)
    if request is None:
        return None
    target = f"it leads to {request.url[:300]}: "
    if request.url == events.download:
        return BrowserFailure("download", False, f"{target}it is a download, not a page")
    if is_pending(request):
        return no_response(request.url, message) if request.url != page.url else None  # a page may reload endlessly
    response = request.existing_response
    if response is None or response.status not in NO_DOCUMENT:
        return None
    return replace(no_document(response.status), message=target + no_document(response.status).message)


async def diagnose_timeout(page: Page, events: Events, message: str) -> BrowserFailure | None:
    """Return why a step other than a navigation timed out, if the page was opening another document."""
    if _WAITED.search(message):
        return await without_document(page, events, message)
    request = await last_navigation(page)
    return no_response(request.url, message) if request is not None and is_pending(request) else None


async def failed_download(page: Page) -> tuple[BrowserFailure, Mapping[str, str]] | None:
    """Return the failure, and the headers, of a download that is the error response of a server."""
    response = await response_to(await last_navigation(page))
    if response is None or response.status < 400:
        return None
    return classify_status(response.status), response.headers


async def diagnose(
    page: Page, events: Events, message: str, wait_until: str, *, proxy: ForwardProxy, session: ProxySession
) -> BrowserFailure | None:
    """Return a more specific classification of a navigation that failed with *message*, if there is one.

    If the browser reports neither status nor URL, the document is requested again over plain HTTP.
    """
    failed, late = events.failed, re.search(r"Timeout [\d.]+ ?ms exceeded", message)
    if not late and not _UNDIAGNOSED.search(message):
        return None
    address = _ADDRESS.search(message)
    if failed is not None and (not is_web(failed.url) or _leads_to_unsafe_port(message, address, failed.url)):
        return unsupported_url(failed.url)
    if late:
        return await _late(page, events, message, wait_until)
    if failed is None:  # the browser reports no failed request for a response without a document
        return await refetch(address[1], proxy, session) if address else None
    response = await response_to(failed)
    if response is not None:
        return no_document(response.status) if response.status in NO_DOCUMENT else None
    return await refetch(failed.url, proxy, session)


def _leads_to_unsafe_port(message: str, address: re.Match[str] | None, failed_url: str) -> bool:
    return "ERR_UNSAFE_PORT" in message and address is not None and failed_url != address[1]


async def _late(page: Page, events: Events, message: str, wait_until: str) -> BrowserFailure | None:
    if not events.navigations:
        return None
    known = await without_document(page, events, message) if events.navigations < MANY_NAVIGATIONS else None
    return known or unsettled(wait_until, events.navigations, message)


async def refetch(url: str, proxy: ForwardProxy, session: ProxySession) -> BrowserFailure | None:
    """Request a document over plain HTTP, and return why it leads to no document; None if that is unknown."""
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
