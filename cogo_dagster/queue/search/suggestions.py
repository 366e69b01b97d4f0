"""Completes a search: qualifiers, then their values. Pure: values of the database are given."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cogo_dagster.queue.search.qualifiers import QUALIFIERS, Qualifier, nearest, qualifier_of
from cogo_dagster.queue.search.terms import in_quotes

MAX_SUGGESTIONS: Final = 12

_LAST: Final = re.compile(r'(-?)([A-Za-z][\w.-]*)?(:)?("?)([^"]*)\Z')
_FROM_DATABASE: Final = frozenset(
    {"types", "families", "executor_ids", "error_classes", "causes", "worker_ids", "hosts", "releases", "action_id"}
)

Values = Callable[[str, str], Sequence[str]]
"""Returns values of a filter key that begin with a prefix."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A completed search.

    Attributes:
        text: The whole search.
        label: The term that was completed.
        meaning: What the qualifier stands for.
    """

    text: str
    label: str
    meaning: str


def no_values(key: str, prefix: str) -> Sequence[str]:  # noqa: ARG001 - without a database
    """Return no value."""
    return ()


def complete(typed: str, values: Values = no_values) -> list[Suggestion]:
    """Return completions of the last term of a search."""
    start = _start_of_last(typed)
    before, last = typed[:start], typed[start:]
    found = [Suggestion(before + term + after, term, meaning) for term, after, meaning in _completed(last, values)]
    return found[:MAX_SUGGESTIONS]


def _start_of_last(typed: str) -> int:
    quoted, start = False, 0
    for at, character in enumerate(typed):
        if character == '"':
            quoted = not quoted
        elif character.isspace() and not quoted:
            start = at + 1
    return start


def _completed(last: str, values: Values) -> Iterator[tuple[str, str, str]]:
    match = _LAST.fullmatch(last)
    if match is None:
        return
    sign, name, colon, quote, value = match.groups()
    name = (name or "").lower()
    if not colon:
        if quote:
            return
        yield from _names(sign, name)
        return
    qualifier = qualifier_of(name)
    if qualifier is None:
        meant = nearest(name)
        if meant:
            yield f"{sign}{meant}:{value}", "", QUALIFIERS[meant.partition(".")[0]].meaning
        return
    if sign and not qualifier.negatable:
        return
    for found in _values(qualifier, value, values):
        yield f"{sign}{name}:{found}", " ", qualifier.meaning


def _names(sign: str, name: str) -> Iterator[tuple[str, str, str]]:
    for qualifier in QUALIFIERS.values():
        if qualifier.name.startswith(name) and (qualifier.negatable or not sign):
            end = "." if qualifier.kind == "payload" else ":"
            yield f"{sign}{qualifier.name}{end}", "", qualifier.meaning


def _values(qualifier: Qualifier, value: str, values: Values) -> Iterator[str]:
    kept, comma, prefix = value.rpartition(",") if qualifier.is_list else ("", "", value)
    listed = [known for known in qualifier.values if known.startswith(prefix.lower())]
    if qualifier.key in _FROM_DATABASE:
        listed += [known for known in values(qualifier.key, prefix) if known not in listed]
    for known in listed:
        if known in kept.split(","):
            continue
        needs_quotes = bool(re.search(r'[\s,"]', known))
        if needs_quotes and kept:
            continue
        yield in_quotes(known) if needs_quotes else f"{kept}{comma}{known}"
