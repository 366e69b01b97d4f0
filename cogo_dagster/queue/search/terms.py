"""The terms of a search: a qualifier with its value, or text. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.search.qualifiers import qualifier_of

_PRIORITY: Final = re.compile(r"(?P<exact>\d)|(?P<first>\d?)\.\.(?P<last>\d?)|(?P<sign>[<>])(?P<bound>\d)")


def in_quotes(value: str) -> str:
    """Return a value in quotes, with its own quotes doubled."""
    return '"' + value.replace('"', '""') + '"'


def search_for(qualifiers: Mapping[str, str]) -> str:
    """Return the search for jobs with these values of qualifiers."""
    return " ".join(f"{name}:{in_quotes(value)}" for name, value in qualifiers.items())


@dataclass(frozen=True, slots=True)
class Term:
    """A qualifier with its value, or free text (with an empty `key`).

    Attributes:
        is_quoted: Whether the value was typed in quotes, so that its commas do not separate values.
    """

    key: str
    value: str
    negated: bool = False
    is_quoted: bool = False

    def __str__(self) -> str:
        is_plain = not self.is_quoted and re.fullmatch(r'[^\s"]+', self.value)
        value = self.value if is_plain else in_quotes(self.value)
        return f"{'-' if self.negated else ''}{self.key}:{value}" if self.key else value

    @property
    def values(self) -> list[str]:
        """The values that commas separate; text in quotes is a single value."""
        qualifier = qualifier_of(self.key)
        is_single = self.is_quoted and (qualifier is None or qualifier.kind != "word")
        return [self.value] if is_single else [part for part in self.value.split(",") if part]


def priority_range(value: str) -> tuple[int, int] | None:
    """Return the first and the last priority of `3`, `0..3`, `<3` or `>3`; None if it is not a range."""
    match = _PRIORITY.fullmatch(value)
    if match is None or value == "..":
        return None
    if match["exact"]:
        return int(match["exact"]), int(match["exact"])
    if match["sign"]:
        bound = int(match["bound"])
        return (0, bound - 1) if match["sign"] == "<" else (bound + 1, 9)
    return int(match["first"] or 0), int(match["last"] or 9)
