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
    (r"ERR_(CONNECTION_)?TIMED_OUT", "timeout", True, "the connection timed out"),
    (
        r"ERR_(CONNECTION_|ADDRESS_UNREACHABLE|INTERNET_DISCONNECTED|NETWORK_|EMPTY_RESPONSE|SOCKET_|PROXY_|TUNNEL_)",
        "connection",
        True,
        "the connection failed",
    ),
    (
        r"ERR_(INVALID_URL|UNSAFE_PORT|UNSAFE_REDIRECT|DISALLOWED_URL_SCHEME|UNKNOWN_URL_SCHEME)|invalid URL",
        "invalid_url",
        False,
        "browsers refuse this address",
    ),
    (r"ERR_BLOCKED_", "blocked", False, "the browser refused to load it"),
    (r"ERR_TOO_MANY_REDIRECTS", "redirects", False, "it redirects without end"),
    (r"Download is starting", "download", False, "it is a download, not a page"),
    (r"ERR_ABORTED", "aborted", True, "the navigation was aborted"),
    (r"ERR_", "network", True, "the network failed"),
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
    (r"Timeout [\d.]+ ?ms exceeded", "timeout", True, "it took too long"),
)


def classify(message: str) -> Verdict:
    """Judge the text of a Playwright error; what no rule knows is worth another attempt."""
    for pattern, error_class, retryable, sentence in _RULES:
        if re.search(pattern, message):
            return Verdict(error_class, retryable, f"{sentence} ({first_line(message)})")
    return Verdict("browser_error", True, first_line(message))


def classify_status(status: int) -> Verdict:
    """Judge the HTTP status (400 or above) of a page: server errors and rate limits pass, the rest stays."""
    retryable = status >= 500 or status in RETRYABLE_STATUSES
    return Verdict("http_status", retryable, f"the server answered {status}")


def first_line(message: str) -> str:
    """Return the first line without the method's name, at most 300 characters; Playwright appends a call log."""
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return re.sub(r"^[A-Z]\w+\.\w+: ", "", line)[:300]
