"""`BROWSER_REAL_MODE=false`: fetches the page over plain HTTP, on machines without a browser."""

import html
import re

from cogo_dagster.executors.browser.artifacts import MAX_FILE_BYTES, ArtifactCollector
from cogo_dagster.executors.browser.charsets import as_file, decoded, page_charset
from cogo_dagster.executors.browser.errors import NO_DOCUMENT, BrowserFailure, no_document
from cogo_dagster.executors.browser.failures import (
    failed,
    find_failed_hop,
    hop_failed,
    response_error,
    response_failure,
)
from cogo_dagster.executors.browser.payload import BrowserPayload
from cogo_dagster.net.client import FetchFailed, fetch
from cogo_dagster.net.proxy import ForwardProxy, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable

NOTE = "BROWSER_REAL_MODE is false: fetched over HTTP without a browser; no scripts, actions, screenshot or PDF."
RETRYABLE_KINDS = frozenset({"timeout", "connection", "body_cut"})


async def fetch_page(
    request: BrowserPayload,
    collector: ArtifactCollector,
    *,
    proxy: ForwardProxy,
    session: ProxySession,
    nav_timeout_ms: int,
) -> Json:
    """Save page.html as the server sent it and return the JSON result.

    Raises:
        ExecutionFailed: There was no response, or its status is 400 or above.
    """
    operation = f"fetch {request.url[:300]}"
    try:
        page = await fetch(
            request.url,
            proxy,
            session,
            timeout_seconds=(request.timeout_ms or nav_timeout_ms) / 1000,
            max_bytes=MAX_FILE_BYTES,
            headers=_payload_headers(request),
            cookies=request.cookies,
        )
    except FetchFailed as error:
        raise _classify(operation, request.url, session, error) from error
    if (cause := response_failure(page.url, page.status, page.headers, session)) is not None:
        raise response_error(operation, cause, page.headers)
    if page.status in NO_DOCUMENT:
        raise failed(operation, no_document(page.status))
    content_type = page.headers.get("content-type", "")
    collector.add("page.html", as_file(page.content, content_type))
    return {
        "mode": "http",
        "url": page.url[:2_000],
        "status": page.status,
        "title": page_title(page.content, content_type),
        "actions_skipped": len(request.actions),
        "notes": [NOTE],
    }


def page_title(content: bytes, content_type: str = "") -> str | None:
    """Return the text of the first `<title>`, at most 500 characters."""
    text = decoded(content[:200_000], page_charset(content, content_type))
    match = re.search(r"<title[^>]*>(.*?)</title", text, re.IGNORECASE | re.DOTALL)
    return storable(html.unescape(match[1]).strip()[:500]) if match else None


def _payload_headers(request: BrowserPayload) -> dict[str, str]:
    fields = {"user-agent": request.user_agent, "accept-language": request.locale}
    own = {name: value for name, value in fields.items() if value is not None}
    return {name: value for name, value in request.extra_headers.items() if name.lower() != "cookie"} | own


def _classify(operation: str, url: str, session: ProxySession, error: FetchFailed) -> ExecutionFailed:
    hop = find_failed_hop(session, url, None)
    if hop is not None:
        return hop_failed(operation, hop)
    return failed(
        operation,
        BrowserFailure(error.kind.removesuffix("_cut"), error.kind in RETRYABLE_KINDS, error.message.rstrip(".")),
    )
