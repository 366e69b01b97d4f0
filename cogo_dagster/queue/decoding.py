"""Reading what the database sends: no row makes it fail.

JSON of PostgreSQL may hold what Python's reader refuses: a number of more than 4,300 digits, or a thousand levels. Such
a part is replaced by an `Unreadable`, and every object around it is a `PartlyUnreadable`, so that one row is told from
its neighbours.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

MOST_DIGITS: Final = 300
"""A longer number is unreadable, once Python's own reader has given up on the document."""

MOST_LEVELS: Final = 110
"""As above. A payload may have 100; the replies that carry it add some."""

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|[\[{\]}]', re.DOTALL)
_DIGIT: Final = re.compile("[0-9]")


class Unreadable(str):
    """Stands for a value that cannot be read; the text says why."""

    __slots__ = ()


class PartlyUnreadable(dict[str, Any]):
    """An object with an `Unreadable` in it, at any depth."""


def decode(text: str | bytes) -> Any:
    """Return the value of a JSON document, whatever it holds.

    Takes time in proportion to the document's size.

    Args:
        text: JSON; bytes are UTF-8.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _tolerant(text if isinstance(text, str) else text.decode())


def read_time(text: object) -> datetime | Unreadable:
    """Return the moment that a row's text names, in UTC where it names no offset; for what cannot be read, say so.

    PostgreSQL knows moments that Python does not: infinity, the year 11026, the time before Christ. Years 1 and 9999
    count as unreadable too, because a change of the time zone leads out of Python's range.
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
    """Yield the document in pieces, with a text in place of each number that is too long and each part too deep."""
    level = kept = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            level += 1
            if level == MOST_LEVELS + 1:
                yield text[kept : token.start()]
        elif first in "]}":
            level -= 1
            if level == MOST_LEVELS:
                yield mark(f"unreadable: a part more than {MOST_LEVELS} levels deep")
                kept = token.end()
        elif first != '"' and level <= MOST_LEVELS and len(token[0]) > MOST_DIGITS:
            digits = len(_DIGIT.findall(token[0].partition("e")[0].partition("E")[0]))
            if digits > MOST_DIGITS:
                yield text[kept : token.start()] + mark(f"unreadable: a number of {digits:,} digits")
                kept = token.end()
    yield text[kept:]


def _restored(value: Any, mark: str) -> tuple[Any, bool]:
    """Return a value with its marks made `Unreadable`, and whether there were any."""
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
