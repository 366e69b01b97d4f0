"""From what Playwright or the network said to a class, a sentence and whether trying again can help.

Messages were read from Playwright 1.65 with Chromium 156. Only `Error` and `TimeoutError` are public there, so that the
text has to decide.
"""

import re
from dataclasses import dataclass

RETRYABLE_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means.

    Attributes:
        error_class: Short stable name for grouping.
        sentence: What happened, as the continuation of "Opening https://…: ".
    """

    error_class: str
    retryable: bool
    sentence: str


DRIVER_GONE = re.compile(r"reading from the driver|driver process|Connection closed")

NAVIGATED_AWAY = re.compile(
    r"[Ee]xecution context was destroyed|interrupted by another navigation|because the page is navigating"
)

_RULES: tuple[tuple[str, str, bool, str], ...] = (
    # (pattern, class, retryable, sentence); the first that matches wins
    (DRIVER_GONE.pattern, "driver_gone", True, "the Playwright driver died"),
    (r"Target crashed|Page crashed", "page_crash", True, "the page crashed"),
    (
        r"(page|context|browser) has been closed|Browser closed|TargetClosedError",
        "browser_gone",
        True,
        "the browser died",
    ),
    (r"ERR_NAME_", "dns", True, "the host name could not be resolved"),
    (r"ERR_CERT_|ERR_SSL_|ERR_BAD_SSL", "tls", False, "the site's TLS certificate or handshake is not acceptable"),
    (r"ERR_INVALID_HTTP_RESPONSE|ERR_INVALID_CHUNKED", "not_http", False, "the server does not speak HTTP"),
    (r"ERR_RESPONSE_HEADERS_TOO_BIG|ERR_RESPONSE_HEADERS_MULT", "headers", False, "the answer's headers are too large"),
    (r"ERR_CONTENT_DECODING", "body", False, "the body is not in the encoding that Content-Encoding names"),
    (
        r"ERR_CONTENT_LENGTH_MISMATCH|ERR_INCOMPLETE_CHUNKED",
        "body",
        True,
        "the server broke off in the middle of the body",
    ),
    (r"ERR_(CONNECTION_)?TIMED_OUT", "timeout", True, "the connection timed out"),
    (
        r"ERR_(CONNECTION_|ADDRESS_UNREACHABLE|INTERNET_DISCONNECTED|NETWORK_|EMPTY_RESPONSE|SOCKET_|PROXY_|TUNNEL_)",
        "connection",
        True,
        "the connection failed",
    ),
    (
        r"ERR_(INVALID_URL|UNSAFE_PORT|(UNSAFE|INVALID)_REDIRECT|(DISALLOWED|UNKNOWN)_URL_SCHEME)|invalid URL",
        "invalid_url",
        False,
        "browsers refuse this address",
    ),
    (r"ERR_BLOCKED_", "blocked", False, "the browser refused to load it"),
    (r"ERR_TOO_MANY_REDIRECTS", "redirects", False, "it redirects without end"),
    (r"Download is starting", "download", False, "it is a download, not a page"),
    (NAVIGATED_AWAY.pattern, "unsettled", True, "the page does not come to rest: it goes on to other documents"),
    (r"ERR_ABORTED", "aborted", True, "the navigation was aborted"),
    (r"ERR_(?!INVALID_ARGUMENT)", "network", True, "the network failed"),
    (
        r"not a valid selector|Unknown engine|parsing (css )?selector|strict mode",
        "selector",
        False,
        "the selector is wrong",
    ),
    (
        r"not an? <(input|select)|cannot be filled|Unknown key|Malformed value",
        "action",
        False,
        "the element cannot do that",
    ),
    (r"Invalid (timezone ID|locale name)", "option", False, "the browser does not know this time zone or locale"),
    (r"ERR_INVALID_ARGUMENT", "option", False, "the browser does not send these extra headers"),
    (r"Timeout [\d.]+ ?ms exceeded", "timeout", True, "it took too long"),
)
NO_DOCUMENT = frozenset({204, 205, 304})
"""Statuses after which a browser stays where it is."""


def classify(message: str) -> Verdict:
    """Judge the text of a Playwright error; what no rule knows is worth another attempt."""
    for pattern, error_class, retryable, sentence in _RULES:
        if re.search(pattern, message):
            return Verdict(error_class, retryable, f"{sentence} ({first_line(message)})")
    return Verdict("browser_error", True, first_line(message))


def no_document(status: int) -> Verdict:
    """Judge a status that brings no document, so that there is no page however often it is asked for."""
    return Verdict("no_document", False, f"the server answered {status}, which brings no page")


def unopenable(target: str) -> Verdict:
    """Judge an address that a browser cannot open."""
    return Verdict("invalid_url", False, f"it leads to {first_line(target)}, which a browser cannot open")


def unsettled(wait_until: str, navigations: int, message: str) -> Verdict:
    """Judge a navigation whose document came in time while the state that was waited for did not."""
    went = f"the page went on to {navigations} documents" if navigations > 1 else "the page came"
    sentence = f"{went} but did not reach {wait_until!r} in time ({first_line(message)})"
    return Verdict("unsettled", True, f"{sentence}; wait_until can ask for less")


def classify_status(status: int) -> Verdict:
    """Judge the HTTP status (400 or above) of a page: server errors and rate limits pass, the rest stays."""
    retryable = status >= 500 or status in RETRYABLE_STATUSES
    return Verdict("http_status", retryable, f"the server answered {status}")


def first_line(message: str) -> str:
    """Return the first line without the method's name, at most 300 characters; Playwright appends a call log."""
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    line = re.sub(r"(\d+)\.\d{3,}ms", r"\1ms", line)
    return re.sub(r"^[A-Z]\w+\.\w+: ", "", line)[:300].rstrip(".")
