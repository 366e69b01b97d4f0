"""Makes external text storable: PostgreSQL, JSON and UTF-8 files accept neither U+0000 nor lone surrogates.

Lone surrogates come from scripts that split an emoji, from file names that are not UTF-8, and from JSON. Each of these
characters is replaced by U+FFFD, the replacement character.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

Json = Any
"""A value returned by `json.loads`."""

REPLACEMENT: Final = "\ufffd"
MAX_LEVELS: Final = 200
"""Maximum nesting of documents, because `json.dumps` and parsers fail on deep ones."""

MAX_PARSED_LEVELS: Final = 300
"""Maximum nesting of JSON from outside.

Parsers of Python 3.12 and newer accept thousands of levels, but a function that descends by three calls per level
exceeds the recursion limit of 1,000.
"""

_NESTED: Final = "it is nested too deeply"
_BRACES_TO_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_MAX_BITS: Final = 996  # 300 digits
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_CONTROL_CHARACTERS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL, JSON and UTF-8 files accept the text."""
    if "\0" in text:
        return False
    if not text.isascii():
        try:
            text.encode()  # takes a third of the time of a search
        except UnicodeEncodeError:
            return False
    return True


def storable(text: str) -> str:
    """Return the text with U+0000 and lone surrogates replaced by U+FFFD; the same object if there are none."""
    return text if is_storable(text) else _UNSTORABLE.sub(REPLACEMENT, text)


def storable_json(value: Json) -> tuple[Json, bool]:
    """Return a document that the database accepts, and whether it differs from `value`.

    Strings and keys are made storable. NaN and infinity become null. Integers of more than 300 digits and values nested
    deeper than 200 levels become a text that describes them. Valid values are not copied. Values that are not JSON are
    left for `json.dumps` to reject.
    """
    if type(value) is dict and _is_plain(value):
        return value, False
    kept = _storable(value, 0)
    return kept, kept is not value


def parse_storable_json(text: str) -> tuple[Json, bool]:
    """Parse standard JSON; also return whether the database accepts it as it is.

    The same as `parse_json` followed by `storable_json`, in less time for a flat object of ASCII characters.

    Raises:
        ValueError: See `parse_json`.
    """
    value = parse_json(text)
    # Without an escape such as \\ud83d, ASCII has no surrogates, and JSON no U+0000.
    if value.__class__ is dict and text.isascii() and "\\u" not in text:
        for member in value.values():
            if member.__class__ not in _PLAIN:
                break
        else:
            return value, True
    return value, not storable_json(value)[1]


def load_json(text: str | bytes) -> Json:
    """Parse JSON from outside.

    Raises:
        ValueError: The text is not JSON, or is nested more than 300 levels deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_NESTED) from None
    if is_deeper(text, MAX_PARSED_LEVELS):
        raise ValueError(_NESTED)
    return value


def is_deeper(text: str | bytes, levels: int) -> bool:
    """Return whether the arrays and objects of a JSON document are nested more than this many levels deep."""
    text = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)
    brackets = b"".join(text.translate(_BRACES_TO_BRACKETS, _NOT_STRUCTURE).split(b'"')[::2])  # without strings
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")  # removes one level
    return bool(brackets)


def parse_json(text: str) -> Json:
    """Parse standard JSON, without NaN and Infinity.

    Raises:
        ValueError: The text is not standard JSON, or is nested too deeply.
    """
    try:
        value, end = _STRICT.raw_decode(text)
    except (ValueError, RecursionError):
        value, end = None, -1  # raised again below
    if end == len(text) or (end > 0 and not text[end:].strip(_SPACE)):
        return value
    try:
        return json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError(_NESTED) from None


def printable(text: str) -> str:
    """Return the text with control and bidirectional formatting characters escaped, except line feeds."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL_CHARACTERS.sub(_escape, text)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_SPACE: Final = " \t\r\n"
"""The whitespace of JSON."""

_PLAIN: Final = frozenset({str, bool, type(None)})

_STRICT: Final = json.JSONDecoder(parse_constant=_reject_constant)
"""`json.loads` makes a decoder for each call that names an option, which takes three times as long as a short line."""


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\t":
        return " "
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _is_plain(members: dict[Json, Json]) -> bool:
    """Whether an object has only texts that are storable, booleans and nulls: a quick check."""
    for name, value in members.items():
        if type(name) is not str or not is_storable(name):
            return False
        if type(value) is str:
            if not is_storable(value):
                return False
        elif value is not None and type(value) is not bool:
            return False
    return True


def _storable(value: Json, level: int) -> Json:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return _storable_object(value, level) if level < MAX_LEVELS else _too_deep()
    if isinstance(value, list | tuple):
        return _storable_array(value, level) if level < MAX_LEVELS else _too_deep()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"unreadable: a number of about {value.bit_length() * 30_103 // 100_000:,} digits"
    return value


def _storable_object(members: dict[Json, Json], level: int) -> dict[Json, Json]:
    kept: dict[Json, Json] = {}
    changed = False
    for name, value in members.items():
        # No comprehension, which adds a frame per level: 200 levels must not exceed the recursion limit.
        new_name = storable(name) if isinstance(name, str) else name
        new_value = _storable(value, level + 1)
        changed = changed or new_name is not name or new_value is not value
        kept[new_name] = new_value
    return kept if changed else members


def _storable_array(items: list[Json] | tuple[Json, ...], level: int) -> list[Json] | tuple[Json, ...]:
    kept: list[Json] = []
    changed = False
    for value in items:
        new_value = _storable(value, level + 1)
        changed = changed or new_value is not value
        kept.append(new_value)
    return kept if changed else items


def _too_deep() -> str:
    return f"unreadable: nested deeper than {MAX_LEVELS} levels"
