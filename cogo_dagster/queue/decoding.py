"""Decodes JSON from the database without failing on any value.

PostgreSQL's JSON may contain values that Python's parser rejects: numbers of more than 4,300 digits, or a thousand
levels of nesting. Such a value is replaced by an `Unreadable`, and every object that contains it is a
`PartlyUnreadable`, so that only the affected row is marked.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from cogo_dagster.text import MAX_PARSED_LEVELS, is_deeper

MAX_DIGITS: Final = 300
"""A longer number counts as unreadable, once Python's parser has failed on the document."""

MAX_LEVELS: Final = 110
"""The same for nesting. A payload may have 100 levels; the replies that contain it add some."""

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|[\[{\]}]', re.DOTALL)
_DIGIT: Final = re.compile("[0-9]")


class Unreadable(str):
    """Replaces a value that cannot be read; the text is the reason."""

    __slots__ = ()


class PartlyUnreadable(dict[str, Any]):
    """An object that contains an `Unreadable` at any depth."""


def decode(text: str | bytes) -> Any:
    """Return the value of a JSON document; parts that Python cannot read become `Unreadable`.

    The time is proportional to the size of the document.

    Args:
        text: JSON; bytes are UTF-8.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        if not is_deeper(text, MAX_PARSED_LEVELS):
            return value
    return _tolerant(text if isinstance(text, str) else text.decode())


def read_time(text: object) -> datetime | Unreadable:
    """Parse a timestamp, as UTC if it has no offset; return an `Unreadable` if it cannot be read.

    PostgreSQL has timestamps that Python does not: infinity, the year 11026, years BC. Years 1 and 9999 count as
    unreadable too, because a conversion of the time zone may leave Python's range.
    """
    if isinstance(text, Unreadable):
        return text
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or not 1 < moment.year < 9999:
        return Unreadable(f"unreadable: the time {str(text)[:40]!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tolerant(text: str) -> Any:
    mark = uuid4().hex
    marked = "".join(_marked(text, lambda reason: f'"{mark}{reason}"'))
    try:
        return _restored(json.loads(marked, object_hook=lambda found: _restored_object(found, mark)), mark)[0]
    except RecursionError:
        raise ValueError("This is not JSON: it ends within more levels than can be read.") from None


def _marked(text: str, mark: Callable[[str], str]) -> Iterator[str]:
    """Yield the document in pieces, with a string in place of each overlong number and overly deep part."""
    level = kept = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            level += 1
            if level == MAX_LEVELS + 1:
                yield text[kept : token.start()]
        elif first in "]}":
            level -= 1
            if level == MAX_LEVELS:
                yield mark(f"unreadable: a part more than {MAX_LEVELS} levels deep")
                kept = token.end()
        elif first != '"' and level <= MAX_LEVELS and len(token[0]) > MAX_DIGITS:
            digits = len(_DIGIT.findall(token[0].partition("e")[0].partition("E")[0]))
            if digits > MAX_DIGITS:
                yield text[kept : token.start()] + mark(f"unreadable: a number of {digits:,} digits")
                kept = token.end()
    yield text[kept:]


def _restored(value: Any, mark: str) -> tuple[Any, bool]:
    """Return a value with its marks replaced by `Unreadable`, and whether there were any."""
    if isinstance(value, str):
        return (Unreadable(value[len(mark) :]), True) if value.startswith(mark) else (value, False)
    if isinstance(value, list):
        found = [_restored(item, mark) for item in value]
        return [item for item, _ in found], any(bad for _, bad in found)
    return value, isinstance(value, PartlyUnreadable)


def _restored_object(members: dict[str, Any], mark: str) -> dict[str, Any]:
    found = {name: _restored(value, mark) for name, value in members.items()}
    if not any(bad for _, bad in found.values()):
        return members
    return PartlyUnreadable({name: value for name, (value, _) in found.items()})
