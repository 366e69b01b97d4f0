"""What somebody types into the search: `type:browser status:failed error:timeout` and plain words. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TypedDict

from cogo_dagster.formatting.values import parse_duration

STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")

QUALIFIERS: Final[Mapping[str, str]] = {
    "status": "queued, running, succeeded, failed, cancelled; several with commas",
    "type": "browser has browser.pdf too",
    "error": "the class of the last error, as timeout",
    "executor": "addressed to this executor id",
    "worker": "claimed by this worker, last",
    "device": "claimed on the host of this name, last",
    "since": "created within 30m, 2h, 1d",
}

_TERM: Final = re.compile(r'(?:([A-Za-z]+):)?(?:"([^"]*)"|(\S+))')


class SearchFilters(TypedDict):
    """Arguments of `Queue.search_jobs`."""

    statuses: list[str] | None
    type_prefix: str | None
    error_class: str | None
    executor_id: str | None
    worker_id: str | None
    device: str | None
    since_seconds: float | None
    words: str | None


@dataclass(frozen=True, slots=True)
class Term:
    """One qualifier, or a word (then `key` is empty)."""

    key: str
    value: str

    def __str__(self) -> str:
        value = f'"{self.value}"' if re.search(r"\s", self.value) or not self.value else self.value
        return f"{self.key}:{value}" if self.key else value


@dataclass(frozen=True, slots=True)
class JobSearch:
    """What was typed, understood.

    Attributes:
        problems: A sentence for each term that cannot be used; the others still count.
    """

    terms: tuple[Term, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, typed: str) -> Self:
        """Understand what was typed; never raises."""
        terms, problems = [], []
        for key, quoted, plain in _TERM.findall(typed.replace("\0", " ")[:500]):
            term = Term(key.lower(), quoted or plain)
            if term.key and term.key not in QUALIFIERS:
                # An address has a colon too.
                term = Term("", f"{key}:{term.value}")
            problem = _problem(term)
            if problem:
                problems.append(problem)
            else:
                terms.append(term)
        return cls(tuple(terms), tuple(problems))

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    @property
    def statuses(self) -> list[str]:
        """The statuses asked for; none means all."""
        return [status for term in self.terms if term.key == "status" for status in term.value.lower().split(",")]

    def filters(self) -> SearchFilters:
        """Return the arguments of `Queue.search_jobs`; of a qualifier given twice the last counts."""
        given = {term.key: term.value for term in self.terms}
        return SearchFilters(
            statuses=self.statuses or None,
            type_prefix=given.get("type"),
            error_class=given.get("error"),
            executor_id=given.get("executor"),
            worker_id=given.get("worker"),
            device=given.get("device"),
            since_seconds=parse_duration(given["since"]) if "since" in given else None,
            words=" ".join(term.value for term in self.terms if not term.key) or None,
        )

    def without(self, gone: Term) -> Self:
        """Return it without one term."""
        return type(self)(tuple(term for term in self.terms if term != gone))

    def with_status(self, status: str | None) -> Self:
        """Return it for one status only, or for all of them."""
        others = tuple(term for term in self.terms if term.key != "status")
        return type(self)((*others, Term("status", status)) if status else others)


def _problem(term: Term) -> str | None:
    if term.key == "status":
        wrong = [word for word in term.value.lower().split(",") if word not in STATUSES]
        if wrong:
            return f"{wrong[0]!r} is no status: use {', '.join(STATUSES)}."
    if term.key == "since" and parse_duration(term.value) is None:
        return f"{term.value!r} is no duration: write since:30m, since:2h or since:1d."
    if term.key and not term.value:
        return f"{term.key}: has no value: write {term.key}:something."
    return None
