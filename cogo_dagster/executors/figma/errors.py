"""Errors of Figma's API and how they fail a job.

Figma uses two formats, `{"status": 403, "err": "…"}` and `{"error": true, "status": 403, "message": "…"}`; a proxy in
between uses others.
"""

import re
from typing import Final

from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.redaction import redact
from cogo_dagster.text import load_json

_TOO_LARGE: Final = frozenset({408, 413, 414, 431})
"""Statuses that always mean that the request or response is too large."""

_MAYBE_TOO_LARGE: Final = _TOO_LARGE | {400, 500, 502, 504, 524}
_SCOPE: Final = re.compile(
    r"requires? (?:the |one of )?([a-z_]+:[a-z]+(?:(?:,| or|, or) [a-z_]+:[a-z]+)*) scope", re.IGNORECASE
)
_MAX_MESSAGE_CHARS: Final = 300
_SMALLER_REQUEST: Final = ": make a smaller request (depth, figma.nodes)"


class FigmaError(Exception):
    """Figma responded with an error.

    Attributes:
        status: The HTTP status.
        message: Figma's error message, without secrets.
        by_figma: False if the response has none of Figma's formats: a proxy or firewall sent it.
    """

    def __init__(self, status: int, message: str, *, by_figma: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.by_figma = by_figma

    @property
    def may_be_too_large(self) -> bool:
        """Whether a smaller request may succeed: rendering that takes too long also ends with 400 or 500."""
        return self.status in _MAYBE_TOO_LARGE

    @property
    def is_too_large(self) -> bool:
        """Whether the status can only mean that the request is too large."""
        return self.status in _TOO_LARGE

    @property
    def lacks_scope(self) -> bool:
        """Whether the token is valid and lacks a scope."""
        return self.status == 403 and self.by_figma and re.search(r"\bscope", self.message, re.IGNORECASE) is not None

    @property
    def summary(self) -> str:
        """A short description for messages."""
        return f"Figma responded with {self.status} ({self.message})"

    def failure(self, operation: str) -> ExecutionFailed:
        """Return the error that the job fails with."""
        error_class, retryable, advice = _classify(self)
        return ExecutionFailed(
            f"{operation}: {self.summary}{advice}.",
            error_class=error_class,
            retryable=retryable,
        )


class FigmaTimeout(FigmaError):
    """Figma did not respond in time; a smaller request may succeed, as after Figma's own 504."""

    def __init__(self, seconds: float) -> None:
        super().__init__(504, f"did not respond within {seconds:g} s", by_figma=False)

    @property
    def summary(self) -> str:
        """A short description for messages."""
        return f"Figma {self.message}"

    def failure(self, operation: str) -> ExecutionFailed:
        """Return the error that the job fails with."""
        message = f"{operation}: {self.summary}{_SMALLER_REQUEST}."
        return ExecutionFailed(message, error_class="timeout", retryable=True)


def figma_error(status: int, content: bytes, token: str) -> FigmaError:
    """Return the error for an unsuccessful response."""
    try:
        by_figma = isinstance(load_json(content[:10_000]), dict)
    except ValueError:
        by_figma = False
    return FigmaError(status, error_message(content, token), by_figma=by_figma)


def error_message(content: bytes, token: str) -> str:
    """Return the error message in a response body, on one line and without secrets."""
    text = content[:10_000].decode("utf-8", "replace")
    try:
        body = load_json(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        text = next((body[key] for key in ("err", "message") if isinstance(body.get(key), str)), "no error message")
    line = " ".join(re.sub(r"<[^>]*>", " ", text).split()).rstrip(".")
    return redact(line, [token])[:_MAX_MESSAGE_CHARS] or "no error message"


def _classify(error: FigmaError) -> tuple[str, bool, str]:
    """Return the error class, whether the error is retryable, and what to do."""
    status = error.status
    if status == 401:
        return "figma_token", False, _NEW_TOKEN
    if status == 403:
        return _classify_403(error)
    if status == 404:
        return "figma_not_found", False, ": check the file key and the version"
    if status == 400 or error.is_too_large:
        return "figma_request", status == 408, f"{_SMALLER_REQUEST}, or correct the payload"
    if status >= 500 or status == 425:
        return "figma_server", True, ""
    return "figma_answer", True, ""


def _classify_403(error: FigmaError) -> tuple[str, bool, str]:
    """Classify a 403 by Figma's error message: it has several causes."""
    message = error.message.lower()
    if not error.by_figma:
        return (
            "figma_blocked",
            True,
            ": this response is from a proxy or firewall, not from Figma; allow api.figma.com there",
        )
    if error.lacks_scope:
        found = _SCOPE.search(error.message)
        needed = found[1] if found else "file_content:read"
        return "figma_token", False, f": set FIGMA_API_TOKEN to a token with the scope {needed}"
    if "export" in message or "copy" in message:
        return (
            "figma_forbidden",
            False,
            ": the file's owner has restricted copying and exporting; ask the owner to allow it",
        )
    if re.search(r"\btoken\b", message):
        return "figma_token", False, _NEW_TOKEN
    return "figma_forbidden", False, ": give the token's user access to the file"


_NEW_TOKEN: Final = ": set FIGMA_API_TOKEN to a valid token with the scope file_content:read"  # noqa: S105 - advice
