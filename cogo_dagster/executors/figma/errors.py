"""What Figma's answers mean for a job.

Two shapes of error are in use, `{"status": 403, "err": "…"}` and `{"error": true, "status": 403, "message": "…"}`; what
stands between us and Figma answers in shapes of its own.
"""

import json
import re
from typing import Final

from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.redaction import redact

_TOO_LARGE: Final = frozenset({400, 500})
_LONGEST: Final = 300


class Refused(Exception):
    """Figma answered, but not with what was asked for.

    Attributes:
        status: The HTTP status.
        words: Figma's own, without secrets.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words

    @property
    def is_perhaps_too_large(self) -> bool:
        """Whether asking for less can help: 400 and 500 are also what a rendering that takes too long ends with."""
        return self.status in _TOO_LARGE

    def failure(self, doing: str) -> ExecutionFailed:
        """Return what the job fails with."""
        error_class, retryable, advice = _judge(self.status, self.words)
        return ExecutionFailed(
            f"{doing}: Figma answered {self.status} ({self.words}){advice}.",
            error_class=error_class,
            retryable=retryable,
        )


def words_of(content: bytes, token: str) -> str:
    """Return what the body of an error says, in one line without secrets."""
    text = content[:10_000].decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        text = next((body[key] for key in ("err", "message") if isinstance(body.get(key), str)), "no reason given")
    line = " ".join(re.sub(r"<[^>]*>", " ", text).split()).rstrip(".")
    return redact(line, [token])[:_LONGEST] or "no reason given"


def _judge(status: int, words: str) -> tuple[str, bool, str]:
    """Return the class, whether time may heal it, and what to do."""
    if status == 401 or (status == 403 and re.search(r"\btoken\b", words, re.IGNORECASE)):
        return "figma_token", False, ": give FIGMA_API_TOKEN a valid token with the scope file_content:read"
    if status == 403:
        return "figma_forbidden", False, ": the token's user must be able to open the file"
    if status == 404:
        return "figma_not_found", False, ": check the file's key and version"
    if status >= 500 or status in (408, 425):
        return "figma_server", True, ""
    if status == 400:
        return "figma_request", False, ": ask for less at once (depth, figma.nodes), or correct the payload"
    return "figma_answer", True, ""
