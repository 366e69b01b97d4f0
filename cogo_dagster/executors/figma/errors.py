"""What Figma's answers mean for a job.

Two shapes of error are in use, `{"status": 403, "err": "…"}` and `{"error": true, "status": 403, "message": "…"}`; what
stands between us and Figma answers in shapes of its own.
"""

import json
import re
from typing import Final

from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.redaction import redact

_TOO_LARGE: Final = frozenset({408, 413, 414, 431})
"""Too much at once, whatever is asked for."""

_PERHAPS_TOO_LARGE: Final = _TOO_LARGE | {400, 500, 502, 504, 524}
_SCOPE: Final = re.compile(
    r"requires? (?:the |one of )?([a-z_]+:[a-z]+(?:(?:,| or|, or) [a-z_]+:[a-z]+)*) scope", re.IGNORECASE
)
_LONGEST: Final = 300
_ASK_FOR_LESS: Final = ": ask for less at once (depth, figma.nodes)"


class FigmaRefused(Exception):
    """Figma answered, but not with what was asked for.

    Attributes:
        status: The HTTP status.
        words: Figma's own, without secrets.
        by_figma: False where the answer has none of Figma's forms: something on the way said it.
    """

    def __init__(self, status: int, words: str, *, by_figma: bool = True) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.by_figma = by_figma

    @property
    def is_perhaps_too_large(self) -> bool:
        """Whether asking for less can help: 400 and 500 are also what a rendering that takes too long ends with."""
        return self.status in _PERHAPS_TOO_LARGE

    @property
    def is_too_large(self) -> bool:
        """Whether the answer means nothing else than too much at once."""
        return self.status in _TOO_LARGE

    @property
    def lacks_scope(self) -> bool:
        """Whether the token is right and may not do this."""
        return self.status == 403 and self.by_figma and re.search(r"\bscope", self.words, re.IGNORECASE) is not None

    @property
    def answer(self) -> str:
        """What Figma did."""
        return f"Figma answered {self.status} ({self.words})"

    def failure(self, doing: str) -> ExecutionFailed:
        """Return what the job fails with."""
        error_class, retryable, advice = _judge(self)
        return ExecutionFailed(
            f"{doing}: {self.answer}{advice}.",
            error_class=error_class,
            retryable=retryable,
        )


class FigmaTimeout(FigmaRefused):
    """Figma was asked and did not answer in time; asking for less can help, as with its own 504."""

    def __init__(self, seconds: float) -> None:
        super().__init__(504, f"no answer within {seconds:g} s", by_figma=False)

    @property
    def answer(self) -> str:
        """What Figma did."""
        return f"Figma gave {self.words}"

    def failure(self, doing: str) -> ExecutionFailed:
        """Return what the job fails with."""
        sentence = f"{doing}: {self.answer}{_ASK_FOR_LESS}."
        return ExecutionFailed(sentence, error_class="timeout", retryable=True)


def refused(status: int, content: bytes, token: str) -> FigmaRefused:
    """Return an answer that is no success as an error to raise."""
    try:
        by_figma = isinstance(json.loads(content[:10_000]), dict)
    except ValueError:
        by_figma = False
    return FigmaRefused(status, words_of(content, token), by_figma=by_figma)


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


def _judge(refused: FigmaRefused) -> tuple[str, bool, str]:
    """Return the class, whether time may heal it, and what to do."""
    status = refused.status
    if status == 401:
        return "figma_token", False, _NEW_TOKEN
    if status == 403:
        return _judge_403(refused)
    if status == 404:
        return "figma_not_found", False, ": check the file's key and version"
    if status == 400 or refused.is_too_large:
        return "figma_request", status == 408, f"{_ASK_FOR_LESS}, or correct the payload"
    if status >= 500 or status == 425:
        return "figma_server", True, ""
    return "figma_answer", True, ""


def _judge_403(refused: FigmaRefused) -> tuple[str, bool, str]:
    """Figma's own text says which of several causes it is."""
    words = refused.words.lower()
    if not refused.by_figma:
        return "figma_blocked", True, ": a proxy or firewall on the way said this, not Figma; let it pass api.figma.com"
    if refused.lacks_scope:
        found = _SCOPE.search(refused.words)
        needed = found[1] if found else "file_content:read"
        return "figma_token", False, f": give FIGMA_API_TOKEN a token with the scope {needed}"
    if "export" in words or "copy" in words:
        return "figma_forbidden", False, ": the file's owner restricts copying and exporting; ask them to allow it"
    if re.search(r"\btoken\b", words):
        return "figma_token", False, _NEW_TOKEN
    return "figma_forbidden", False, ": the token's user must be able to open the file"


_NEW_TOKEN: Final = ": give FIGMA_API_TOKEN a valid token with the scope file_content:read"  # noqa: S105 - advice
