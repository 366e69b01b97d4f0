"""Text from outside, made storable in one place: PostgreSQL, JSON and UTF-8 files take neither U+0000 nor half a pair.

A lone surrogate comes from a page's script that cut an emoji in two, from a file's name that is not UTF-8, or from
JSON; U+0000 from anywhere. Each becomes U+FFFD, the replacement character.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

Json = Any
"""What `json.loads` returns."""

REPLACEMENT: Final = "\ufffd"
MAX_LEVELS: Final = 200
"""Documents nested deeper are cut: neither `json.dumps` nor a reader takes them."""

_MOST_BITS: Final = 996  # 300 digits
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_STEERING: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def is_storable(text: str) -> bool:
    """Whether the database, JSON and files take the text as it is."""
    if text.isascii():
        return "\0" not in text
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of U+0000 and lone surrogates; the same object where there are none."""
    return text if is_storable(text) else _UNSTORABLE.sub(REPLACEMENT, text)


def storable_json(value: Json) -> tuple[Json, bool]:
    """Return a document that the database takes, and whether it differs from the one given.

    Texts, names of members too, are made storable. A number that JSON has no word for (NaN, infinity) becomes null, an
    integer of more than 300 digits and what is nested deeper than 200 levels a text that says so. What is clean is not
    copied. Values that are no JSON at all are left for `json.dumps` to reject.
    """
    kept = _storable(value, 0)
    return kept, kept is not value


def parse_json(text: str) -> Json:
    """Parse JSON as its standard has it, without NaN and Infinity.

    Raises:
        ValueError: It is not.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_reject_constant)


def printable(text: str) -> str:
    """Return the text with the characters that steer a terminal or turn the writing escaped; line feeds stay."""
    if text.isascii() and text.isprintable():
        return text
    return _STEERING.sub(_escape, text)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\t":
        return " "
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _storable(value: Json, level: int) -> Json:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return _storable_object(value, level) if level < MAX_LEVELS else _too_deep()
    if isinstance(value, list | tuple):
        return _storable_array(value, level) if level < MAX_LEVELS else _too_deep()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"unreadable: a number of about {value.bit_length() * 30_103 // 100_000:,} digits"
    return value


def _storable_object(given: dict[Json, Json], level: int) -> dict[Json, Json]:
    kept: dict[Json, Json] = {}
    changed = False
    for name, value in given.items():
        # A frame for each level and no comprehension: a document of 200 levels must not meet the recursion limit.
        new_name = storable(name) if isinstance(name, str) else name
        new_value = _storable(value, level + 1)
        changed = changed or new_name is not name or new_value is not value
        kept[new_name] = new_value
    return kept if changed else given


def _storable_array(given: list[Json] | tuple[Json, ...], level: int) -> list[Json] | tuple[Json, ...]:
    kept: list[Json] = []
    changed = False
    for value in given:
        new_value = _storable(value, level + 1)
        changed = changed or new_value is not value
        kept.append(new_value)
    return kept if changed else given


def _too_deep() -> str:
    return f"unreadable: nested deeper than {MAX_LEVELS} levels"
