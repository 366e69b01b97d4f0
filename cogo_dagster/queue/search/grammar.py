"""Parses the filter language: `type:browser -status:failed finished:yesterday` and free text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.qualifiers import QUALIFIERS, Qualifier, nearest, nearest_value, qualifier_of
from cogo_dagster.queue.search.times import before, parse_period

MAX_CHARS: Final = 500

_TERM: Final = re.compile(r'(-?)(?:([A-Za-z][\w.-]{0,60}):)?(?:"([^"]*)"|(\S+))')
_PRIORITY: Final = re.compile(r"(?P<exact>\d)|(?P<first>\d?)\.\.(?P<last>\d?)|(?P<sign>[<>])(?P<bound>\d)")
_ID: Final = re.compile(r"(?:[0-9A-Fa-f]-?){8,32}")
_RELEASE: Final = re.compile(r"<(?:current|\d{1,6}(\.\d{1,6}){0,5})|[^<\s]+")
_PORT: Final = re.compile(r"\d{1,5}(/\S*)?")


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
        quoted = self.is_quoted or not self.value or re.search(r"\s", self.value)
        value = f'"{self.value}"' if quoted else self.value
        return f"{'-' if self.negated else ''}{self.key}:{value}" if self.key else value

    @property
    def values(self) -> list[str]:
        """The values that commas separate; text in quotes is a single value."""
        qualifier = qualifier_of(self.key)
        is_single = self.is_quoted and (qualifier is None or qualifier.kind != "word")
        return [self.value] if is_single else [part for part in self.value.split(",") if part]


@dataclass(frozen=True, slots=True)
class JobSearch:
    """A parsed search.

    Attributes:
        problems: A message for each invalid term; the valid terms apply.
    """

    terms: tuple[Term, ...] = ()
    problems: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, typed: str) -> Self:
        """Parse a search; never raises."""
        terms: list[Term] = []
        problems: list[str] = []
        if len(typed) > MAX_CHARS:
            problems.append(f"The search has more than {MAX_CHARS} characters, and the rest was left out: shorten it.")
        for sign, key, quoted, plain in _TERM.findall(typed.replace("\0", " ")[:MAX_CHARS]):
            term = Term(key.lower(), quoted or plain, bool(sign), not plain)
            problem = _problem(term, terms)
            if problem:
                problems.append(problem)
            elif key and qualifier_of(term.key):
                terms.append(term)
            else:  # text with a colon, such as a URL, or with a hyphen in front
                text = term.value if not key and not sign else f"{sign}{f'{key}:' if key else ''}{term.value}"
                terms.append(Term("", text, is_quoted=term.is_quoted and not key and not sign))
        return cls(tuple(terms), tuple(problems))

    @classmethod
    def parse_strictly(cls, typed: str) -> Self:
        """Parse a search.

        Raises:
            InvalidArgument: A term is invalid.
        """
        search = cls.parse(typed)
        if search.problems:
            raise InvalidArgument(" ".join(search.problems))
        return search

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    @property
    def statuses(self) -> list[str]:
        """The statuses of the search; empty for all."""
        found = [term for term in self.terms if term.key == "status" and not term.negated]
        return [status.lower() for term in found for status in term.values]

    def filter(self, release: str, now: datetime | None = None) -> dict[str, Json]:
        """Return the filter as the SQL function `query_jobs` takes it.

        Args:
            release: The release that `current` means.
            now: The time of which `today` is the day; now by default.
        """
        found: dict[str, Json] = {}
        for term in self.terms:
            qualifier = qualifier_of(term.key)
            if qualifier is None:
                found["words"] = f"{found['words']} {term.value}" if "words" in found else term.value
            else:
                _add(found, qualifier, term, release, now or datetime.now(UTC))
        return found

    def without(self, removed: Term) -> Self:
        """Return the search without a term."""
        return type(self)(tuple(term for term in self.terms if term != removed))

    def with_status(self, status: str | None) -> Self:
        """Return the search for a single status, or for all."""
        others = tuple(term for term in self.terms if term.key != "status")
        return type(self)((*others, Term("status", status)) if status else others)

    def and_also(self, **values: str | None) -> Self:
        """Return the search with further qualifiers, such as those of options."""
        added = (Term(key, value, is_quoted="," in value and key != "status") for key, value in values.items() if value)
        return replace(self, terms=(*self.terms, *added))


def _add(found: dict[str, Json], qualifier: Qualifier, term: Term, release: str, now: datetime) -> None:
    side = found.setdefault("not", {}) if term.negated else found
    if qualifier.kind == "time":
        _add_time(side, qualifier, term.value, now)
    elif qualifier.kind == "number":
        side[qualifier.key] = _priority(term.value)
    elif qualifier.kind == "payload":
        side.setdefault("payload", []).append({"path": term.key.split(".")[1:], "value": term.value})
    elif qualifier.kind == "release":
        _add_release(side, term, release)
    elif qualifier.is_list:
        values = [value.lower() for value in term.values] if qualifier.kind == "word" else term.values
        side[qualifier.key] = [*side.get(qualifier.key, []), *values]
    else:
        side[qualifier.key] = term.value.lower()


def _add_time(side: dict[str, Json], qualifier: Qualifier, value: str, now: datetime) -> None:
    period = parse_period(value, now)
    if period is None:
        return
    bounds = side.setdefault(qualifier.key, {})
    if qualifier.name == "until":
        bounds["to"] = before(period)
        return
    bounds["from"] = period.start
    if qualifier.name != "since":
        bounds["to"] = period.end


def _add_release(side: dict[str, Json], term: Term, release: str) -> None:
    names = {"older": f"<{release}", "<current": f"<{release}", "current": release}
    for value in (names.get(value, value) for value in term.values):
        if value.startswith("<"):
            side["release_before"] = value[1:]
        else:
            side["releases"] = [*side.get("releases", []), value]


def _priority(value: str) -> dict[str, Json] | None:
    match = _PRIORITY.fullmatch(value)
    if match is None or value == "..":
        return None
    if match["exact"]:
        return {"from": int(match["exact"]), "to": int(match["exact"])}
    if match["sign"]:
        bound = int(match["bound"])
        return {"from": 0, "to": bound - 1} if match["sign"] == "<" else {"from": bound + 1, "to": 9}
    return {"from": int(match["first"] or 0), "to": int(match["last"] or 9)}


def _problem(term: Term, others: list[Term]) -> str | None:
    """Return what is wrong with a term, and what to write instead."""
    qualifier = qualifier_of(term.key)
    if qualifier is None:
        return _unknown(term)
    if not term.value or not term.values:
        return f"The qualifier {term.key!r} has no value: write {term.key}:VALUE, or remove it."
    if term.negated and (not qualifier.negatable or "<" in term.value or "older" in term.values):
        return f"{term} cannot be negated: remove the hyphen."
    if not qualifier.is_list and any(other.key == term.key for other in others):
        return f"The qualifier {term.key!r} is given twice: remove one of them."
    return next(_wrong_values(qualifier, term), None)


def _unknown(term: Term) -> str | None:
    if not term.key:
        bare = term.value.removesuffix(":")
        if bare != term.value and not term.is_quoted and bare in QUALIFIERS:
            return f"The qualifier {bare!r} has no value: write {bare}:VALUE, or remove it."
        return None
    if term.key == "payload":
        return "The qualifier 'payload' names a key: write payload.KEY:VALUE."
    if term.value.startswith("//") or _PORT.fullmatch(term.value):
        return None
    meant = nearest(term.key)
    text = f"{term.key}:{term.value}"
    return meant and f'Unknown qualifier {term.key!r}: write {meant}:, or "{text}" in quotes to search for the text.'


def _wrong_values(qualifier: Qualifier, term: Term) -> Iterator[str]:
    name = term.key
    for value in term.values:
        if qualifier.kind == "word" and value.lower() not in qualifier.values:
            meant = nearest_value(value.lower(), qualifier.values)
            word = {"status": "status", "is": "condition", "sort": "order"}[name]
            hint = f"did you mean {meant}? Use " if meant else "use "
            yield f"Unknown {word} {value!r}: {hint}{', '.join(qualifier.values)}."
        elif qualifier.kind == "id" and not _ID.fullmatch(value):
            yield f"Invalid ID {value!r}: write at least 8 of its first or last digits."
        elif qualifier.kind == "release" and not _RELEASE.fullmatch(value):
            yield f"Invalid release {value!r}: write {name}:0.1.0, {name}:current or {name}:older."
    if qualifier.kind == "number" and (_priority(term.value) is None):
        yield f"Invalid priority {term.value!r}: write priority:3, priority:0..3, priority:<3 or priority:>3."
    if qualifier.kind == "time" and parse_period(term.value, datetime.now(UTC)) is None:
        yield f"Invalid time {term.value!r}: write {name}:2h, {name}:yesterday, {name}:2026-11-26 or a range FROM..TO."
