"""Converts failures of one job into `ExecutionFailed`."""

from collections.abc import Mapping

from cogo_dagster.executors.browser.errors import BrowserFailure, classify, classify_status, is_web, unsupported_url
from cogo_dagster.formatting.browser_evidence import FailedRequest
from cogo_dagster.net.addresses import DEFAULT_PORTS, InvalidAddress, split_host_port
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import MARK_HEADER, STATUS_HEADER, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.retry_after import retry_after_seconds

PERMANENT_HOPS = frozenset({"blocked_address", "invalid_url", "not_http", "headers"})


def failed(operation: str, failure: BrowserFailure, detail: str | None = None) -> ExecutionFailed:
    """Return the error for an operation that failed."""
    return ExecutionFailed(
        f"{operation}: {failure.message}.",
        error_class=failure.error_class,
        retryable=failure.retryable,
        detail=detail,
    )


def hop_failed(operation: str, hop: HopFailed) -> ExecutionFailed:
    """Return the error for a host that the proxy blocked or could not reach."""
    return ExecutionFailed(
        f"{operation}: {hop.message}", error_class=hop.kind, retryable=hop.kind not in PERMANENT_HOPS
    )


def response_failure(
    url: str, status: int, headers: Mapping[str, str], session: ProxySession
) -> HopFailed | BrowserFailure | None:
    """Return why the response to a navigation is a failure: the proxy sent it, or its status is 400 or above.

    Args:
        url: The URL after redirects.
        headers: With names in lower case.
    """
    if headers.get(MARK_HEADER) == session.mark:
        hop = find_failed_hop(session, url, None)
        if hop is not None:
            return hop
    if status == 502 and headers.get(STATUS_HEADER) == "407":
        status = 407
    return classify_status(status) if status >= 400 else None


def response_error(operation: str, cause: HopFailed | BrowserFailure, headers: Mapping[str, str]) -> ExecutionFailed:
    """Return the error for the result of `response_failure`, with the delay in Retry-After."""
    if isinstance(cause, HopFailed):
        return hop_failed(operation, cause)
    error = failed(operation, cause)
    error.delay_seconds = retry_after_seconds(headers) if cause.retryable else None
    return error


def find_failed_hop(
    session: ProxySession, url: str, before: HopFailed | None, failed_url: str | None = None
) -> HopFailed | None:
    """Return the failed hop because of which *url* did not load.

    Args:
        session: The session whose hops failed.
        url: The URL that was requested. The target of a redirect fails under another host.
        before: The latest failed hop before the request.
        failed_url: The request that failed, after redirects, if known. Hops of other hosts are then not the cause:
            a full Chromium also sends requests of its own.

    Returns:
        The hop of the host of *failed_url*; if that is unknown, of *url*, or else the latest hop after *before*.
    """
    newest = session.failures[-1] if session.failures else None
    if newest is before:
        return None
    if failed_url is not None:
        return session.failure_at(_authority(failed_url))
    return session.failure_at(_authority(url)) or newest


def latest_failed_hop(session: ProxySession) -> HopFailed | None:
    """Return the latest failed hop so far."""
    return session.failures[-1] if session.failures else None


def unreachable_hosts(session: ProxySession) -> list[FailedRequest]:
    """Return the latest ten hosts that the page requested and that could not be reached."""
    hops = [hop for hop in session.failures if hop.kind != "blocked_address"]
    return [FailedRequest(url=hop.authority, reason=hop.message) for hop in hops[-10:]]


def blocked_reasons(session: ProxySession) -> list[str]:
    """Return why hosts that the page requested were blocked, without duplicates, at most ten."""
    reasons = [hop.message for hop in session.failures if hop.kind == "blocked_address"]
    return list(dict.fromkeys(reasons))[:10]


def check_document(
    url: str, status: int | None, session: ProxySession, failed_url: str | None, reason: str | None = None
) -> None:
    """Check the document that a page shows at the end.

    Args:
        url: The document's URL.
        status: Its HTTP status, if known; for an error page of the browser, that of the response it replaces.
        session: The session of the job.
        failed_url: The URL for which the browser shows an error page, if known.
        reason: The browser's reason, if known.

    Raises:
        ExecutionFailed: It is an error page of the browser or of the proxy, or its status is 400 or above.
    """
    operation = f"the last document, {url[:300]}"
    if url.startswith("chrome-error:"):
        hop = find_failed_hop(session, url, None, failed_url)
        if hop is not None:
            raise hop_failed(operation, hop)
        if status is not None and status >= 400:
            raise failed(f"the last document, {(failed_url or url)[:300]}", classify_status(status))
        if failed_url is not None and not is_web(failed_url):
            raise failed("the last document", unsupported_url(failed_url))
        failure = BrowserFailure("network", True, "the URL that the page navigated to did not load")
        raise failed(f"the last document, {(failed_url or url)[:300]}", classify(reason) if reason else failure)
    if status is None or status < 400:
        return
    hop = session.failure_at(_authority(url))
    if hop is not None:
        raise hop_failed(operation, hop)
    raise failed(operation, classify_status(status))


def unreached(url: str, status: int | None, session: ProxySession) -> str | None:
    """Return why a page shows no document of its site, so that a screenshot would show none; None if it does.

    Args:
        url: The URL of the page.
        status: As for `check_document`.
        session: The session of the job.
    """
    if url in {"", "about:blank"}:
        if status is not None:
            return None  # a page of the site opened it
        return "The site was not reached." if session.failures else "No page had been received when the attempt failed."
    if url.startswith("chrome-error:"):
        return "The site was not reached."
    if status is not None and status >= 400 and session.failure_at(_authority(url)) is not None:
        return "The site was not reached."
    return None


def _authority(url: str) -> str:
    scheme, _, rest = url.partition("://")
    try:
        host, port = split_host_port(rest.partition("/")[0].partition("?")[0], DEFAULT_PORTS.get(scheme.lower()))
    except InvalidAddress:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
