"""`BROWSER_REAL_MODE=false`: fetches the page over plain HTTP, on machines without a browser."""

import asyncio
import re
import time
from typing import Final

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
from cogo_dagster.executors.browser.markup import page_title
from cogo_dagster.executors.browser.payload import BrowserPayload
from cogo_dagster.formatting.browser_evidence import FILE_NAME, BrowserEvidence, TimedStep
from cogo_dagster.net.client import Fetched, FetchFailed, fetch
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ForwardProxy, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable

NOTE = "BROWSER_REAL_MODE is false: fetched over HTTP without a browser; no scripts, actions, screenshot or PDF."
RETRYABLE_KINDS = frozenset({"timeout", "connection", "body_cut"})


_XML: Final = re.compile(r"(text|application)/xml$|[^/]+/.*\+xml$")
_SHOWN: Final = re.compile(
    r"(text/(?!(x-)?(csv|vcard|v?calendar|rtf|tsv|tab-separated|comma-separated)).*"
    r"|application/(.*json|(x-)?javascript|ecmascript))$"
)
"""Content types other than XML whose text browsers show; they save others as files."""
_MEDIA: Final = re.compile(r"(image|audio|video)/")
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


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
        ExecutionFailed: There was no response, or its status is 400 or above, or it is no page; evidence.json has the
            duration, and page.html the page that the server sent with the status.
    """
    operation, started = f"fetch {request.url[:300]}", time.monotonic()
    try:
        timeout_seconds = (request.timeout_ms or nav_timeout_ms) / 1000
        try:
            async with asyncio.timeout(timeout_seconds):
                page = await fetch(
                    request.url,
                    proxy,
                    session,
                    timeout_seconds=timeout_seconds,
                    max_bytes=MAX_FILE_BYTES,
                    headers=_payload_headers(request),
                    cookies=request.cookies,
                )
        except TimeoutError:
            late = f"the page was not received completely within {timeout_seconds:g} s"
            raise failed(operation, BrowserFailure("timeout", True, late)) from None
        except FetchFailed as error:
            raise _classify(operation, request.url, session, error) from error
        return _save(operation, page, request, collector, session)
    except ExecutionFailed as error:
        duration_ms = round((time.monotonic() - started) * 1000)
        missing = {"screenshot.png": "BROWSER_REAL_MODE is false."}
        if "page.html" not in collector:
            missing["page.html"] = "No page had been received when the attempt failed."
        record = BrowserEvidence(
            steps=(TimedStep(step=operation, duration_ms=duration_ms, error=storable(error.message)),),
            notes=(NOTE,),
            missing=missing,
        )
        collector.add_json(FILE_NAME, record.model_dump(mode="json", exclude_none=True))
        raise


def _save(
    operation: str, page: Fetched, request: BrowserPayload, collector: ArtifactCollector, session: ProxySession
) -> Json:
    content_type = page.headers.get("content-type", "")
    essence = content_type.partition(";")[0].strip().lower()
    kind = _kind(page, essence)
    cause = response_failure(page.url, page.status, page.headers, session)
    if kind == "text" and not isinstance(cause, HopFailed):
        collector.add("page.html", as_file(page.content, content_type))
    if cause is not None:
        raise response_error(operation, cause, page.headers)
    if page.status in NO_DOCUMENT:
        collector.discard("page.html")
        raise failed(operation, no_document(page.status))
    if kind == "file":
        raise failed(operation, BrowserFailure("download", False, "it is a download, not a page"))
    notes = [NOTE]
    if kind == "media":
        notes.append(f"page.html was not saved: the document is {essence}, not text.")
    return {
        "mode": "http",
        "url": page.url[:2_000],
        "status": page.status,
        "title": _title(page, content_type, essence) if kind == "text" else None,
        "actions_skipped": len(request.actions),
        "notes": notes,
    }


def _title(page: Fetched, content_type: str, essence: str) -> str | None:
    """Return the title of HTML, XHTML or SVG; other text has none."""
    is_xml = _XML.match(essence) is not None
    if not is_xml and _SHOWN.match(essence) and essence != "text/html":
        return None
    title = page_title(decoded(page.content, page_charset(page.content, content_type)), is_xml=is_xml)
    return storable(title) if title is not None else None


def _kind(page: Fetched, essence: str) -> str:
    """Return what a browser does with a document: show it (`text`, `media`), or save it (`file`)."""
    disposition = page.headers.get("content-disposition", "").partition(";")[0].strip().lower()
    if disposition not in ("", "inline"):
        return "file"
    if _MEDIA.match(essence) and not _XML.match(essence):
        return "media"
    if "/" not in essence:
        is_binary = _BINARY.search(page.content[:1_445]) and page_charset(page.content, "")[:6] != "utf-16"
        return "file" if is_binary else "text"
    return "text" if _XML.match(essence) or _SHOWN.match(essence) else "file"


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
