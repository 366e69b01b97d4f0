"""Classifies errors of Playwright and of the network: error class, message, retryable or not.

The messages are those of Playwright 1.65 with Chromium 156. Only `Error` and `TimeoutError` are public there, so the
message text decides.
"""

import re
from dataclasses import dataclass

RETRYABLE_STATUSES = frozenset({407, 408, 425, 429})
"""A server that responds with 407 is taken for a proxy that does not work."""


@dataclass(frozen=True, slots=True)
class BrowserFailure:
    """A classified failure.

    Attributes:
        error_class: Short, stable name for grouping.
        message: What happened; continues "goto https://…: ".
    """

    error_class: str
    retryable: bool
    message: str


DRIVER_GONE = re.compile(r"reading from the driver|driver process|Connection closed")

NAVIGATED_AWAY = re.compile(
    r"[Ee]xecution context was destroyed|interrupted by another navigation|because the page is navigating"
    r"|Not attached to an active page|Inspected target navigated or closed|Cannot find default execution context"
)

_RULES: tuple[tuple[str, str, bool, str], ...] = (
    # (pattern, class, retryable, message); the first match wins
    (DRIVER_GONE.pattern, "driver_gone", True, "the Playwright driver ended unexpectedly"),
    (r"Target crashed|Page crashed", "page_crash", True, "the page crashed"),
    (
        r"(page|context|browser) has been closed|Browser closed|TargetClosedError",
        "browser_gone",
        True,
        "the browser ended unexpectedly",
    ),
    (r"ERR_NAME_", "dns", True, "the host name could not be resolved"),
    (r"ERR_CERT_|ERR_SSL_|ERR_BAD_SSL", "tls", False, "the site's TLS certificate or handshake is invalid"),
    (r"ERR_INVALID_HTTP_RESPONSE|ERR_INVALID_CHUNKED", "not_http", False, "the server does not speak HTTP"),
    (r"ERR_RESPONSE_HEADERS_TOO_BIG", "headers", False, "the response headers are too large"),
    (r"ERR_RESPONSE_HEADERS_MULT", "headers", False, "the response repeats a header with different values"),
    (r"ERR_CONTENT_DECODING", "body", False, "the response body does not match its Content-Encoding"),
    (
        r"ERR_CONTENT_LENGTH_MISMATCH|ERR_INCOMPLETE_CHUNKED",
        "body",
        True,
        "the connection closed before the response body was complete",
    ),
    (r"ERR_(CONNECTION_)?TIMED_OUT", "timeout", True, "the connection timed out"),
    (
        r"ERR_(CONNECTION_|ADDRESS_UNREACHABLE|INTERNET_DISCONNECTED|NETWORK_|EMPTY_RESPONSE|SOCKET_|PROXY_|TUNNEL_)",
        "connection",
        True,
        "the connection failed",
    ),
    (
        r"ERR_(UNSAFE|INVALID)_REDIRECT",
        "invalid_url",
        False,
        "it redirects to an address that browsers do not open",
    ),
    (
        r"ERR_(INVALID_URL|UNSAFE_PORT|(DISALLOWED|UNKNOWN)_URL_SCHEME)|invalid URL",
        "invalid_url",
        False,
        "browsers do not open this URL",
    ),
    (r"ERR_BLOCKED_", "blocked", False, "the browser blocked the request"),
    (r"ERR_TOO_MANY_REDIRECTS", "redirects", False, "too many redirects"),
    (r"Download is starting", "download", False, "it is a download, not a page"),
    (NAVIGATED_AWAY.pattern, "unsettled", True, "the page keeps navigating to other documents"),
    (r"ERR_ABORTED", "aborted", True, "the navigation was aborted"),
    (r"ERR_(?!INVALID_ARGUMENT)", "network", True, "network error"),
    (
        r"not a valid selector|Unknown engine|parsing (css )?selector|strict mode",
        "selector",
        False,
        "the selector is invalid",
    ),
    (
        r"not an? <(input|select)|cannot be filled|Unknown key|Malformed value",
        "action",
        False,
        "the element does not support this action",
    ),
    (r"browser's reply has [\d,]+ bytes", "artifact_limit", False, "the page is too large"),
    (r"Invalid (timezone ID|locale name)", "option", False, "unknown time zone or locale"),
    (r"ERR_INVALID_ARGUMENT", "option", False, "the browser does not accept these extra headers"),
    (r"Timeout [\d.]+ ?ms exceeded", "timeout", True, "timed out"),
)
NO_DOCUMENT = frozenset({204, 205, 304})
"""Statuses for which a browser does not navigate."""


def classify(message: str) -> BrowserFailure:
    """Classify the message of a Playwright error; an unknown message is retryable."""
    for pattern, error_class, retryable, description in _RULES:
        if re.search(pattern, message):
            return BrowserFailure(error_class, retryable, f"{description} ({first_line(message)})")
    return BrowserFailure("browser_error", True, first_line(message))


def no_document(status: int) -> BrowserFailure:
    """Classify a status without a document; a retry would not change it."""
    return BrowserFailure("no_document", False, f"the server responded with {status}, which has no document")


def no_response(url: str, message: str) -> BrowserFailure:
    """Classify a step that timed out because the page was being replaced by the document at *url*."""
    description = f"timed out while the page waited for a response from {url[:300]}"
    return BrowserFailure("timeout", True, f"{description} ({first_line(message)})")


def unsupported_url(target: str) -> BrowserFailure:
    """Classify a redirect to a URL that a browser cannot open."""
    return BrowserFailure("invalid_url", False, f"it redirects to {first_line(target)}, which a browser cannot open")


def is_web(url: str) -> bool:
    """Return whether a URL has the scheme http or https."""
    return re.match(r"https?://[^/]", url, re.IGNORECASE) is not None


def unsettled(wait_until: str, navigations: int, message: str) -> BrowserFailure:
    """Classify a navigation whose document arrived in time but did not reach the state *wait_until*."""
    loaded = f"the page loaded {navigations} documents" if navigations > 1 else "the page loaded"
    description = f"{loaded} but did not reach {wait_until!r} in time ({first_line(message)})"
    return BrowserFailure("unsettled", True, f"{description}; set wait_until to an earlier state")


def restless(navigations: int, message: str) -> BrowserFailure:
    """Classify a timeout during which the page navigated again and again."""
    description = f"the page navigated to other documents {navigations} times during this step"
    return BrowserFailure("unsettled", True, f"{description} ({first_line(message)})")


def out_of_memory(used_bytes: int, limit_bytes: int) -> BrowserFailure:
    """Classify a page that was ended because of its memory."""
    used, limit = (f"{size / 1e6:,.0f} MB" for size in (used_bytes, limit_bytes))
    return BrowserFailure("out_of_memory", True, f"the page used {used} of memory; the limit for a page is {limit}")


def classify_status(status: int) -> BrowserFailure:
    """Classify the HTTP status (400 or above) of a page; server errors and rate limits are retryable."""
    retryable = status >= 500 or status in RETRYABLE_STATUSES
    return BrowserFailure("http_status", retryable, f"the server responded with {status}")


def first_line(message: str) -> str:
    """Return the first line, at most 300 characters, without the method name and Playwright's call log."""
    line = message.strip().splitlines()[0] if message.strip() else "no error message"
    line = re.sub(r"(\d+)\.\d{3,}ms", r"\1ms", line)
    return re.sub(r"^[A-Z]\w+\.\w+: ", "", line)[:300].rstrip(".")
