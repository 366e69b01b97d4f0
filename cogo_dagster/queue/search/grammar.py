"""Parses the filter language: `type:browser -status:failed finished:yesterday` and free text."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.problems import is_without_action, problem_of
from cogo_dagster.queue.search.qualifiers import Qualifier, qualifier_of
from cogo_dagster.queue.search.terms import Term, priority_range
from cogo_dagster.queue.search.times import before, parse_period

MAX_CHARS: Final = 500

_TERM: Final = re.compile(r'(-?)(?:([A-Za-z][\w.-]{0,60}):)?(?:"((?:[^"]|"")*)("?)(\S*)|(\S+))')


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
        for sign, key, quoted, closing, attached, plain in _TERM.findall(typed.replace("\0", " ")[:MAX_CHARS]):
            value = plain or quoted.replace('""', '"')
            term = Term(_key(key), value, bool(sign), not plain)
            problem = _quote_problem(term, closing, attached) if not plain else None
            if problem := problem or problem_of(term, terms):
                problems.append(problem)
            elif key and qualifier_of(term.key):
                terms.append(term)
            else:  # text with a colon, such as a URL, or with a hyphen in front
                text = term.value if not key and not sign else f"{sign}{f'{key}:' if key else ''}{term.value}"
                terms.append(Term("", text, is_quoted=term.is_quoted))
        for term in [term for term in terms if is_without_action(term, terms)]:
            problems.append("is:skipped finds the jobs that a bulk action skipped: add action:ID.")
            terms.remove(term)
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


def _key(typed: str) -> str:
    """Return a qualifier in lower case; the keys of a payload keep their case."""
    name, dot, path = typed.partition(".")
    return f"{name.lower()}{dot}{path}" if name.lower() == "payload" else typed.lower()


def _quote_problem(term: Term, closing: str, attached: str) -> str | None:
    prefix = f"{term.key}:" if term.key else ""
    if not closing:
        return f'The quote in {prefix}"{term.value} is not closed: add a quote at its end.'
    return attached and f'Text follows the quote of {prefix}"{term.value}" without a space: add one.'


def _add(found: dict[str, Json], qualifier: Qualifier, term: Term, release: str, now: datetime) -> None:
    side = found.setdefault("not", {}) if term.negated else found
    if qualifier.kind == "time":
        _add_time(side, qualifier, term.value, now)
    elif qualifier.kind == "number":
        first, last = priority_range(term.value) or (0, 9)
        side[qualifier.key] = {"from": first, "to": last}
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
