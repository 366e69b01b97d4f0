"""Decoded views of a text, to find secrets that are percent-encoded or escaped.

A view is the text with one kind of escape decoded. A span of a view is mapped to the span of the original text, so that
exactly the escaped secret can be redacted.
"""

import base64
import html
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

_LEVELS: Final = 2


@dataclass(slots=True)
class Escapes:
    """Positions of the decoded escapes of a text in order: in the view, and in its parent."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    parent_starts: list[int] = field(default_factory=list)
    parent_ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int, parent_start: int, parent_end: int) -> None:
        """Add an escape."""
        self.starts.append(start)
        self.ends.append(end)
        self.parent_starts.append(parent_start)
        self.parent_ends.append(parent_end)

    def start(self, at: int) -> int:
        """Return the start in the parent of what starts here."""
        last = bisect_right(self.starts, at) - 1
        return self.parent_starts[last] if last >= 0 and at < self.ends[last] else self._after(last, at)

    def end(self, at: int) -> int:
        """Return the end in the parent of what ends here."""
        last = bisect_left(self.starts, at) - 1
        return self.parent_ends[last] if last >= 0 and at <= self.ends[last] else self._after(last, at)

    def _after(self, last: int, at: int) -> int:
        return at if last < 0 else self.parent_ends[last] + at - self.ends[last]


@dataclass(frozen=True, slots=True)
class View:
    """A text, and how it was decoded.

    Attributes:
        unfolded: Whether line breaks were removed, in which case only known secrets can be detected.
        parent: The text from which it was decoded; None for the original text.
    """

    text: str
    unfolded: bool = False
    parent: "View | None" = None
    escapes: Escapes | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text for a span of this view, with complete escapes."""
        if self.parent is None or self.escapes is None:
            return start, end
        return self.parent.span(self.escapes.start(start), self.escapes.end(end))


def views(text: str) -> Iterator[View]:
    """Yield the text, and views of it with each kind of escape decoded, also nested ones such as `%2541`."""
    level = [View(text)]
    seen = {text}
    for _ in range(_LEVELS):
        yield from level
        level = [child for parent in level for child in _children(parent) if not _seen(child.text, seen)]
    yield from level


def base64_forms(secret: str) -> Iterator[str]:
    """Yield the base64 forms of a secret in both alphabets, for all three offsets within encoded data.

    Characters at the ends that depend on adjacent data are left out, at most one on either side.
    """
    content = secret.encode(errors="replace")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
        fixed = encoded[(0, 2, 3)[before] : len(encoded) - bool((before + len(content)) % 3)]
        yield fixed
        if "+" in fixed or "/" in fixed:
            yield fixed.replace("+", "-").replace("/", "_")


def _seen(text: str, seen: set[str]) -> bool:
    known = text in seen
    seen.add(text)
    return known


def _children(parent: View) -> Iterator[View]:
    if parent.unfolded:
        return
    for mark, pattern, decode in _KINDS:
        if mark in parent.text:
            child = _decoded(parent, pattern, decode)
            if child is not None:
                yield child


def _decoded(parent: View, pattern: re.Pattern[str], decode: Callable[[str], str]) -> View | None:
    pieces: list[str] = []
    escapes = Escapes()
    at = length = 0
    for escape in pattern.finditer(parent.text):
        plain = decode(escape[0])
        pieces += (parent.text[at : escape.start()], plain)
        start = length + escape.start() - at
        length, at = start + len(plain), escape.end()
        escapes.add(start, length, escape.start(), at)
    if not pieces:
        return None
    return View("".join([*pieces, parent.text[at:]]), pattern is _BREAKS, parent, escapes)


def _percent(escapes: str) -> str:
    return bytes.fromhex(escapes.replace("%", "")).decode(errors="replace")


def _backslash(escape: str) -> str:
    if escape[1] == "x":
        return chr(int(escape[2:], 16))
    if escape[1] == "'":
        return "'"
    decoded: str = json.loads(f'"{escape}"')
    return decoded


_PERCENT: Final = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+|%[0-7][0-9A-Fa-f]")
_BACKSLASH: Final = re.compile(
    r"""\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|["'\\/bfnrt])"""
)
_ENTITY: Final = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_BREAKS: Final = re.compile(r"\r?\n[ \t]{0,16}")
_KINDS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], str]], ...]] = (
    ("%", _PERCENT, _percent),
    ("\\", _BACKSLASH, _backslash),
    ("&", _ENTITY, html.unescape),
    ("\n", _BREAKS, lambda _: ""),
)
