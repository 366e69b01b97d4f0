"""Checks the document that a page shows at the end of an attempt."""

import re
from urllib.parse import urldefrag

from cogo_dagster.executors.browser.errors import classify
from cogo_dagster.executors.browser.failures import check_document, failed, response_error, response_failure
from cogo_dagster.executors.browser.navigation import last_navigation, refetch, response_to, unreachable_url
from cogo_dagster.executors.browser.page_state import PageState
from cogo_dagster.executors.browser.steps import PageSession
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ForwardProxy
from cogo_dagster.queue.executor import ExecutionFailed

_REDIRECT = re.compile("ERR_(UNSAFE|INVALID)_REDIRECT")


async def checked_status(page_session: PageSession, document: PageState, url: str, proxy: ForwardProxy) -> int | None:
    """Return the status of the last document, if it has one.

    Raises:
        ExecutionFailed: Its status is 400 or above, or the browser shows an error page instead.
    """
    events = page_session.events
    is_error_page = url.startswith("chrome-error:")
    failed_url = events.failed.url if events.failed is not None else None
    reason: str | None = None
    status: int | None = None
    if is_error_page:
        failed_url = await unreachable_url(page_session.devtools) or failed_url
        if events.failed is not None and urldefrag(events.failed.url).url == urldefrag(failed_url or "").url:
            response = await response_to(events.failed)
            status, reason = response.status if response is not None else None, events.failed.failure
    elif url.startswith("http"):
        status = document.status or page_session.status
    if events.broken.done():
        raise failed(f"the last document, {url[:300]}", classify(events.broken.result()))
    try:
        check_document(url, status, page_session.session, failed_url, reason)
    except ExecutionFailed as error:
        if error.error_class == "http_status" and not is_error_page:
            raise await _with_headers(page_session, error, url, status) from error
        if reason is not None and _REDIRECT.search(reason):
            raise await _with_target(page_session, error, proxy) from error
        raise
    return status


async def _with_headers(
    page_session: PageSession, error: ExecutionFailed, url: str, status: int | None
) -> ExecutionFailed:
    """Return the error with what only the headers of the response say, such as Retry-After."""
    response = await response_to(await last_navigation(page_session.page))
    if response is None or response.status != status:
        return error
    cause = response_failure(response.url, response.status, response.headers, page_session.session)
    if cause is None or isinstance(cause, HopFailed):
        return error
    return response_error(f"the last document, {url[:300]}", cause, response.headers)


async def _with_target(page_session: PageSession, error: ExecutionFailed, proxy: ForwardProxy) -> ExecutionFailed:
    """Return the error with the URL to which the server redirects; a POST is not repeated to find it."""
    request = page_session.events.failed
    if request is None or request.method != "GET":
        return error
    target = await refetch(request.url, proxy, page_session.session)
    return failed("the last document", target) if target is not None else error
