"""Parses job searches: `type:browser status:failed error:timeout` and free text. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TypedDict

from cogo_dagster.formatting.values import parse_duration

STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")

QUALIFIERS: Final[Mapping[str, str]] = {
    "status": "queued, running, succeeded, failed or cancelled; separate several with commas",
    "type": "type prefix: browser includes browser.pdf",
    "error": "class of the last error, such as timeout",
    "family": "exactly this family of types",
    "executor": "executor ID that the job is addressed to",
    "worker": "worker of the last attempt",
    "device": "host name of the last attempt's worker",
    "since": "created within the last 30m, 2h, 1d",
    "finished": "finished within the last 30m, 2h, 1d",
    "lost": "an attempt lost its lease within the last 30m, 2h, 1d",
    "is": "due, scheduled, paused or unaddressed; separate several with commas",
}

CONDITIONS: Final = ("due", "scheduled", "paused", "unaddressed")

_DURATIONS: Final = ("since", "finished", "lost")

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
    family: str | None
    finished_seconds: float | None
    lost_seconds: float | None
    conditions: list[str] | None


@dataclass(frozen=True, slots=True)
class Term:
    """A qualifier with its value, or free text (with an empty `key`)."""

    key: str
    value: str

    def __str__(self) -> str:
        value = f'"{self.value}"' if re.search(r"\s", self.value) or not self.value else self.value
        return f"{self.key}:{value}" if self.key else value


@dataclass(frozen=True, slots=True)
class JobSearch:
    """A parsed search.

    Attributes:
        problems: A message for each invalid term; the valid terms apply.
    """

    terms: tuple[Term, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, typed: str) -> Self:
        """Parse a search; never raises."""
        terms, problems = [], []
        for key, quoted, plain in _TERM.findall(typed.replace("\0", " ")[:500]):
            term = Term(key.lower(), quoted or plain)
            if term.key and term.key not in QUALIFIERS:
                # Not a qualifier but text with a colon, such as a URL.
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
        """The statuses of the search; empty for all."""
        return [status for term in self.terms if term.key == "status" for status in term.value.lower().split(",")]

    def filters(self) -> SearchFilters:
        """Return the arguments of `Queue.search_jobs`; the last of repeated qualifiers applies."""
        given = {term.key: term.value for term in self.terms}
        seconds = {key: parse_duration(given[key]) for key in _DURATIONS if key in given}
        conditions = [word for term in self.terms if term.key == "is" for word in term.value.lower().split(",")]
        return SearchFilters(
            statuses=self.statuses or None,
            type_prefix=given.get("type"),
            error_class=given.get("error"),
            executor_id=given.get("executor"),
            worker_id=given.get("worker"),
            device=given.get("device"),
            since_seconds=seconds.get("since"),
            words=" ".join(term.value for term in self.terms if not term.key) or None,
            family=given.get("family"),
            finished_seconds=seconds.get("finished"),
            lost_seconds=seconds.get("lost"),
            conditions=conditions or None,
        )

    def without(self, removed: Term) -> Self:
        """Return the search without a term."""
        return type(self)(tuple(term for term in self.terms if term != removed))

    def with_status(self, status: str | None) -> Self:
        """Return the search for a single status, or for all."""
        others = tuple(term for term in self.terms if term.key != "status")
        return type(self)((*others, Term("status", status)) if status else others)


def _problem(term: Term) -> str | None:
    if term.key == "status":
        wrong = [status for status in term.value.lower().split(",") if status not in STATUSES]
        if wrong:
            return f"Unknown status {wrong[0]!r}: use {', '.join(STATUSES)}."
    if term.key == "is":
        wrong = [word for word in term.value.lower().split(",") if word not in CONDITIONS]
        if wrong:
            return f"Unknown condition {wrong[0]!r}: use {', '.join(CONDITIONS)}."
    if term.key in _DURATIONS and parse_duration(term.value) is None:
        return f"Invalid duration {term.value!r}: write {term.key}:30m, {term.key}:2h or {term.key}:1d."
    if term.key and not term.value:
        return f"The qualifier {term.key!r} has no value: write {term.key}:VALUE, or remove it."
    return None
