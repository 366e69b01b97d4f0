"""Redacts secrets in text before it is stored or sent. The running time is linear in the length of any text.

Text is processed in slices of a few milliseconds each: `re` holds the global interpreter lock, so that a thread would
not unblock an event loop. No pattern scans the same characters more than a few times.
"""

import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from cogo_dagster.decoded_views import View, base64_forms, views

HIDDEN: Final = "[hidden]"
SLICE_CHARS: Final = 60_000

_MIN_CHARS: Final = 6
_MIN_OVERLAP: Final = 4_096
_MAX_OVERLAP: Final = 30_000
_CHARS_PER_ESCAPE: Final = 6  # \u0041
_LINE_CHARS: Final = 12

Json = Any
Span = tuple[int, int]

_BETWEEN: Final = r"""\\{0,4}["']?\s{0,8}[:=]\s{0,8}\\{0,4}["']?"""
_VALUE: Final = r"""(?:[^\s"',;}\\]|\\(?!["']))"""
_PATTERN_SOURCES: Final = (
    # Each has a keyword, without which it is skipped, and redacts the group `hidden`. Possessive quantifiers do not
    # backtrack; where a match could start again in the middle of a run, a second alternative consumes the whole run.
    (
        ("_", "-", "akia", "aiza"),
        r"""(?<![A-Za-z0-9])(?P<hidden>
              (?:figd|sbp|sb_secret|sb_publishable|gh[opusr]|github_pat|whsec|npm)_[A-Za-z0-9_\-+/=]{8,}+
            | cogo_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])
            | xox[a-z]-[A-Za-z0-9-]{8,}+
            | glpat-[A-Za-z0-9_-]{16,}+
            | pypi-[A-Za-z0-9_-]{16,}+
            | AKIA[A-Z0-9]{16}
            | AIza[A-Za-z0-9_-]{35})""",
    ),
    (
        ("eyj",),  # a JSON web token
        r"""(?<![A-Za-z0-9])(?:(?P<hidden>eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?)
            | eyJ[A-Za-z0-9_-]*+)""",
    ),
    (("gaaaa",), r"(?<![A-Za-z0-9])(?P<hidden>gAAAA[A-Za-z0-9_-]{60,}+={0,2})"),  # Fernet
    (("private key-----",), r"PRIVATE\ KEY-----(?P<hidden>[^-]{8,}+)"),
    (
        ("authorization", "token", "apikey", "api-key"),
        rf"""(?i:(?<![A-Za-z0-9])(?:authorization|x-figma-token|x-admin-token|api-?key){_BETWEEN}
            (?:(?:bearer|basic|token|digest|negotiate|apikey)\s{{1,8}})?)(?P<hidden>{_VALUE}++)""",
    ),
    (
        ("cookie",),
        rf"""(?i:(?<![A-Za-z0-9])cookies?{_BETWEEN})
            (?P<hidden>[^\s"',;}}]++(?:;\s{{0,4}}[^\s"',;}}=]++=[^\s"',;}}]*+)*+)""",
    ),
    (
        ("bearer", "basic"),
        r"(?i:(?<![A-Za-z0-9])(?:bearer|basic)\s{1,8})(?P<hidden>[A-Za-z0-9._~+/=-]{12,}+)",
    ),
    (
        ("pass", "pwd", "secret", "token", "key"),
        rf"""(?i:(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|service[_-]role[_-]key|private[_-]?key
            |access[_-]?key){_BETWEEN})(?P<hidden>(?:(?!&){_VALUE}){{4,}}+)""",
    ),
    (("://",), r"""://(?P<hidden>[^\s/"'<>]*)@"""),  # user name and password
    (("?",), r"""://[^\s?\#"'<>]++(?:\?(?P<hidden>[^\s\#"'<>]++))?"""),  # query strings often contain tokens
    (
        ("hooks.slack", "api/webhooks", "webhook.office"),
        r"""(?i:hooks\.slack\.com/(?:services|workflows|triggers)/|/api/webhooks/|webhook\.office\.com/)
            (?P<hidden>[^\s"'<>]++)""",
    ),
)
_PATTERNS: Final = tuple((words, re.compile(pattern, re.VERBOSE)) for words, pattern in _PATTERN_SOURCES)
_REST: Final = re.compile(r"""[^\s"',;&}<>]*+""")
_BASE64_CHARACTER: Final = re.compile(r"[A-Za-z0-9+/_-]")
_PADDING: Final = re.compile(r"={0,2}")


class Redactor:
    """Redacts text that looks like a secret, and known secrets in every encoding. Create it once, because that is slow.

    Known secrets are found verbatim, fully or partially percent-encoded, in both base64 alphabets at any offset, with
    JSON or HTML escapes, across line breaks, and with nested encodings.

    Args:
        secrets: Values to redact; those shorter than six characters are ignored.
        known_only: Redact known secrets only: for requested data, in which query strings must stay.
    """

    def __init__(self, secrets: Iterable[str] = (), *, known_only: bool = False) -> None:
        self._known_only = known_only
        known = {form for secret in secrets for form in _with_lines(secret) if len(form) >= _MIN_CHARS}
        self._plain = sorted(known, key=len, reverse=True)
        self._encoded = sorted({form for secret in known for form in base64_forms(secret)}, key=len, reverse=True)
        longest = len(self._plain[0]) if self._plain else 0
        self._overlap = min(max(_CHARS_PER_ESCAPE * longest, _MIN_OVERLAP), _MAX_OVERLAP)

    def text(self, text: str) -> str:
        """Return the redacted text; the same object if there are no secrets."""
        if len(text) < _MIN_CHARS:
            return text
        pieces = list(self.slices(text))
        return pieces[0] if len(pieces) == 1 else "".join(pieces)

    def slices(self, text: str) -> Iterator[str]:
        """Yield the redacted text in pieces of a few milliseconds each, so that an event loop is not blocked."""
        spans: list[Span] = []
        done = at = 0
        while at < len(text) or not at:
            begin, end = max(at - self._overlap, 0), min(at + SLICE_CHARS - self._overlap, len(text))
            found = self._find(text[begin:end])
            spans = _merged([*spans, *(_extended(text, a + begin, b + begin, end) for a, b in found)])
            at = max(end, spans[-1][1] if spans else 0, 1)
            safe = len(text) if at >= len(text) else max(at - self._overlap, 0)
            piece, done, spans = _written(text, done, safe, spans)
            yield piece

    def beginning(self, text: str, max_chars: int) -> str:
        """Return the first characters of the redacted text, without processing the rest.

        Truncating before redacting would keep the first half of a secret at the cut.
        """
        kept: list[str] = []
        length = 0
        for piece in self.slices(text):
            kept.append(piece)
            length += len(piece)
            if length >= max_chars:
                break
        whole = kept[0] if len(kept) == 1 else "".join(kept)
        return whole if len(whole) <= max_chars else whole[:max_chars]

    def json(self, value: Json) -> Json:
        """Return a document with all strings redacted, including keys; the same object if there are no secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list | tuple):
            return self._array(value)
        return value

    def _object(self, members: dict[Json, Json]) -> dict[Json, Json]:
        kept: dict[Json, Json] = {}
        changed = False
        for name, value in members.items():
            new_name = self.text(name) if isinstance(name, str) else name
            new_value = self._member(name, value)
            changed = changed or new_name is not name or new_value is not value
            kept[new_name] = new_value
        return kept if changed else members

    def _member(self, name: Json, value: Json) -> Json:
        """Redact a value whose key names a secret, such as {"password": "…"}."""
        if self._known_only or not isinstance(value, str) or not isinstance(name, str):
            return self.json(value)
        return HIDDEN if _names_a_secret(name) and len(value) >= 4 else self.json(value)

    def _array(self, items: list[Json] | tuple[Json, ...]) -> list[Json] | tuple[Json, ...]:
        kept: list[Json] = []
        changed = False
        for value in items:
            new_value = self.json(value)
            changed = changed or new_value is not value
            kept.append(new_value)
        return kept if changed else items

    def _find(self, piece: str) -> Iterator[Span]:
        for view in views(piece):
            yield from self._known(view)
            if not view.unfolded and not self._known_only:
                yield from _looks_secret(view)

    def _known(self, view: View) -> Iterator[Span]:
        for secret in self._plain:
            at = view.text.find(secret)
            while at >= 0:
                yield view.span(at, at + len(secret))
                at = view.text.find(secret, at + len(secret))
        for form in self._encoded:
            at = view.text.find(form)
            while at >= 0:
                start, end = _with_adjacent(view.text, at, at + len(form))
                yield view.span(start, end)
                at = view.text.find(form, end)


@lru_cache(maxsize=64)
def redactor_of(secrets: tuple[str, ...], *, known_only: bool = False) -> Redactor:
    """Return the redactor of these secrets, cached per process."""
    return Redactor(secrets, known_only=known_only)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with secrets redacted.

    Redacted are tokens of known formats, credentials in headers, assignments such as `password=…`, user names and
    passwords in URLs, and complete query strings, which often contain tokens.

    Args:
        text: Text of a log, a row or a message.
        secrets: Known secrets, redacted in every encoding; see `Redactor`.
    """
    return redactor_of(tuple(secrets)).text(text)


def redact_json(value: Json, secrets: Iterable[str] = ()) -> Json:
    """Return a document with secrets redacted in all strings."""
    return redactor_of(tuple(secrets)).json(value)


class RedactingFilter(logging.Filter):
    """Redacts log records. Must be added to a handler, because filters of a logger do not apply to its children."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and traceback of a record; all records pass."""
        try:
            record.msg = self._redactor.text(record.getMessage())
        except Exception:  # noqa: BLE001 - invalid arguments of another library must not raise here
            record.msg = self._redactor.text(str(record.msg))
        record.args = None
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        return True


def redact_logs(redactor: Redactor) -> None:
    """Redact the output of the handlers of the root logger, and of the handler of last resort."""
    for handler in (*logging.getLogger().handlers, *filter(None, [logging.lastResort])):
        redact_handler(handler, redactor)


def redact_handler(handler: logging.Handler, redactor: Redactor) -> None:
    """Redact the output of a handler; replaces an earlier redactor."""
    for old in [item for item in handler.filters if isinstance(item, RedactingFilter)]:
        handler.removeFilter(old)
    handler.addFilter(RedactingFilter(redactor))


_SECRET_NAME: Final = re.compile(
    r"(?i)(?:password|passwd|passphrase|secret|token|api[_-]?key|service[_-]role[_-]key|private[_-]?key"
    r"|access[_-]?key|authorization|cookie)\Z"
)


def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name[-40:]) is not None


def _with_lines(secret: str) -> Iterator[str]:
    """Yield a secret, its form encoding of spaces, and its longer lines, for keys in PEM format."""
    yield secret
    if " " in secret:
        yield secret.replace(" ", "+")
    if "\n" in secret:
        yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= _LINE_CHARS)


def _looks_secret(view: View) -> Iterator[Span]:
    lowered = view.text.lower()
    for words, pattern in _PATTERNS:
        if any(word in lowered for word in words):
            for match in pattern.finditer(view.text):
                if match["hidden"]:
                    yield view.span(*match.span("hidden"))


def _with_adjacent(text: str, start: int, end: int) -> Span:
    """Extend a span by adjacent base64 characters that contain bits of the secret, and by the padding."""
    if start and _BASE64_CHARACTER.match(text, start - 1):
        start -= 1
    if _BASE64_CHARACTER.match(text, end):
        end += 1
    padding = _PADDING.match(text, end)
    return start, padding.end() if padding else end


def _extended(text: str, start: int, end: int, slice_end: int) -> Span:
    """Extend a span at the end of a slice to the end of the word."""
    if end < slice_end or end >= len(text):
        return start, end
    rest = _REST.match(text, end)
    return start, rest.end() if rest else end


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _written(text: str, done: int, safe: int, spans: list[Span]) -> tuple[str, int, list[Span]]:
    """Return the final text up to `safe`, its end, and the remaining spans."""
    if not done and safe == len(text) and not spans:
        return text, safe, []
    pieces: list[str] = []
    for at, (start, end) in enumerate(spans):
        if end > safe:
            pieces.append(text[done : min(start, safe)])
            return "".join(pieces), min(start, safe), spans[at:]
        pieces += (text[done:start], HIDDEN)
        done = end
    return "".join([*pieces, text[done:safe]]), safe, []
