"""What is wrong with a term of a search, and what to write instead. Pure.

A term that cannot match, or that would silently match something else, is rejected: a bulk action would apply to it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.queue.search.qualifiers import STATUSES, Qualifier, nearest, nearest_value, qualifier_of
from cogo_dagster.queue.search.terms import Term, priority_range
from cogo_dagster.queue.search.times import EmptyPeriod, before, is_in_order, parse_period

_ID: Final = re.compile(r"(?:[0-9A-Fa-f]-?){8,32}")
_RELEASE: Final = re.compile(r"<(?:current|\d{1,6}(\.\d{1,6}){0,5})|[^<\s]+")
_PORT: Final = re.compile(r"\d{1,5}(/\S*)?")

_OFFSET: Final = re.compile(r"\d{2}:\d{2}")
_TIME_OF_DAY: Final = re.compile(r"T\d{2}:\d{2}(:\d{2})?$", re.IGNORECASE)

_NO_VALUE: Final = "The qualifier {0!r} has no value: write {0}:VALUE, or remove it."
_WORDS: Final[Mapping[str, str]] = {"status": "status", "is": "condition", "sort": "order"}

_IMPLIED: Final[Mapping[str, frozenset[str]]] = {
    "due": frozenset({"queued"}),
    "scheduled": frozenset({"queued"}),
    "paused": frozenset({"queued"}),
    "dead-lettered": frozenset({"failed"}),
    "discarded": frozenset({"failed"}),
    "lease-expired": frozenset({"running"}),
    "unaddressed": frozenset(STATUSES),
    "skipped": frozenset(STATUSES),
}
"""The statuses that jobs of a condition can have."""

_EXCLUSIVE: Final = {"due", "scheduled", "paused", "dead-lettered", "discarded", "lease-expired"}


def problem_of(term: Term, others: Sequence[Term], now: datetime | None = None) -> str | None:
    """Return the problem of a term, by itself or beside those before it; None if there is none."""
    return _own_problem(term, now or datetime.now(UTC)) or _conflict(term, others, now or datetime.now(UTC))


def is_without_action(term: Term, terms: Sequence[Term]) -> bool:
    """Whether a term asks for the jobs that a bulk action skipped, and no term names the action."""
    is_skipped = term.key == "is" and "skipped" in map(str.lower, term.values)
    return is_skipped and not any(other.key == "action" for other in terms)


def _own_problem(term: Term, now: datetime) -> str | None:
    qualifier = qualifier_of(term.key)
    if qualifier is None:
        return _unknown(term)
    if not term.value.strip() or not term.values or term.value == "=":
        return _NO_VALUE.format(term.key)
    if not term.is_quoted and '"' in term.value and qualifier.kind != "payload":
        return f'A quote is in the middle of {term}: put the whole value in quotes, as {term.key}:"VALUE".'
    if term.negated and (not qualifier.negatable or "<" in term.value or "older" in term.values):
        return f"{term} cannot be negated: remove the hyphen."
    return next(_wrong_values(qualifier, term, now), None)


def _unknown(term: Term) -> str | None:
    if not term.key:
        return _text_problem(term)
    if term.key.partition(".")[0] == "payload":
        return "The qualifier 'payload' names a key: write payload.KEY:VALUE."
    if term.value.startswith("//") or _PORT.fullmatch(term.value):
        return None
    meant = nearest(term.key)
    text = f"{term.key}:{term.value}"
    return meant and f'Unknown qualifier {term.key!r}: write {meant}:, or "{text}" in quotes to search for the text.'


def _text_problem(term: Term) -> str | None:
    if not term.value.strip():
        return "The quotes are empty and match every job: write text between them, or remove them."
    bare = term.value.removesuffix(":")
    if bare == term.value or term.is_quoted:
        return None
    if bare.lower().partition(".")[0] == "payload":
        return "The qualifier 'payload' names a key and a value: write payload.KEY:VALUE."
    if qualifier_of(bare.lower()):
        return _NO_VALUE.format(bare.lower())
    meant = nearest(bare.lower())
    return meant and f'Unknown qualifier {bare!r}: write {meant}:VALUE, or "{bare}:" in quotes to search for the text.'


def _wrong_values(qualifier: Qualifier, term: Term, now: datetime) -> Iterator[str]:
    name = term.key
    for value in term.values:
        if qualifier.kind == "word" and value.lower() not in qualifier.values:
            meant = nearest_value(value.lower(), qualifier.values)
            hint = f"did you mean {meant}? Use " if meant else "use "
            yield f"Unknown {_WORDS[name]} {value!r}: {hint}{', '.join(qualifier.values)}."
        elif qualifier.kind == "id" and not _ID.fullmatch(value):
            yield f"Invalid ID {value!r}: write at least 8 of its first or last digits."
        elif qualifier.kind == "release" and not _RELEASE.fullmatch(value):
            yield f"Invalid release {value!r}: write {name}:0.1.0, {name}:current or {name}:older."
        elif qualifier.kind == "text" and value.endswith("*"):
            compared = "its beginning" if qualifier.key == "types" else "its whole value"
            yield f"Invalid value {value!r}: {name}: compares {compared}, so remove the *."
    bounds = [value for value in term.values if _is_bound(value)]
    if qualifier.kind == "release" and bounds and len(term.values) > 1:
        yield f"{bounds[0]} cannot be combined with other values of {name}: write it alone."
    if qualifier.kind == "number":
        yield from _wrong_priority(term.value)
    if qualifier.kind == "time":
        yield from _wrong_time(qualifier, term, now)


def _is_bound(release: str) -> bool:
    return release == "older" or release.startswith("<")


def _wrong_priority(value: str) -> Iterator[str]:
    found = priority_range(value)
    if found is None:
        yield f"Invalid priority {value!r}: write priority:3, priority:0..3, priority:<3 or priority:>3."
    elif found[0] > found[1]:
        yield f"No priority is in {value}: priorities are 0 to 9, and a range begins with the lower one."


def _wrong_time(qualifier: Qualifier, term: Term, now: datetime) -> Iterator[str]:
    name, value = term.key, term.value
    try:
        period = parse_period(value, now)
    except EmptyPeriod:
        yield f"No time is in {value!r}: a range begins with the earlier time, and a duration is longer than 0."
        return
    if period is None:
        yield f"Invalid time {value!r}: write {name}:2h, {name}:yesterday, {name}:2026-11-26 or a range FROM..TO."
    elif qualifier.name in ("since", "until") and ".." in value:
        yield f"The qualifier {name!r} takes one time: write created:{value}."


def _conflict(term: Term, others: Sequence[Term], now: datetime) -> str | None:
    """Return why a term cannot hold together with those before it."""
    qualifier = qualifier_of(term.key)
    if qualifier is None:
        return _zone_problem(term, others)
    if not qualifier.is_list and any(other.key == term.key for other in others):
        return f"The qualifier {term.key!r} is given twice: remove one of them."
    for other in others:
        same = qualifier_of(other.key) is qualifier
        wanted, unwanted = (other, term) if term.negated else (term, other)
        is_excluded = {v.lower() for v in wanted.values} <= {v.lower() for v in unwanted.values}
        has_bound = qualifier.kind == "release" and any(map(_is_bound, (*term.values, *other.values)))
        if same and (has_bound or (is_excluded and term.negated != other.negated)):
            return f"{other} and {term} exclude each other: remove one of them."
    if qualifier.key == "created":
        return _times_conflict(term, [other for other in others if _is_created(other)], now)
    return _state_conflict([*others, term])


def _zone_problem(term: Term, others: Sequence[Term]) -> str | None:
    """Return that a time zone has lost its plus sign, which is a space in a URL."""
    time = others[-1] if others else None
    qualifier = qualifier_of(time.key) if time else None
    if time is None or qualifier is None or qualifier.kind != "time" or term.key or term.is_quoted:
        return None
    if not _OFFSET.fullmatch(term.value) or not _TIME_OF_DAY.search(time.value):
        return None
    return f"{term.value} after {time} is a time zone without its sign: write + before it, or %2B in a URL."


def _is_created(term: Term) -> bool:
    qualifier = qualifier_of(term.key)
    return qualifier is not None and qualifier.key == "created"


def _times_conflict(term: Term, others: Sequence[Term], now: datetime) -> str | None:
    """Return why `created:`, `since:` and `until:` cannot hold together: `created:` has both bounds itself."""
    if others and "created" in (term.key, *(other.key for other in others)):
        return f"{others[0]} and {term} exclude each other: write one range, as created:FROM..TO."
    named = {found.key: parse_period(found.value, now) for found in (*others, term)}
    since, until = named.get("since"), named.get("until")
    if since and until and not is_in_order(since.start, before(until), now):
        return f"{others[0]} and {term} exclude each other: until: must be after since:."
    return None


def _state_conflict(terms: Sequence[Term]) -> str | None:
    """Return why the statuses and conditions of a search cannot hold together."""
    conditions = [value.lower() for term in terms if term.key == "is" for value in term.values]
    named = [name for name in dict.fromkeys(conditions) if name in _EXCLUSIVE]
    if len(named) > 1:
        return f"A job is never {' and '.join(named)} at the same time: write one of them."
    statuses = {value.lower() for term in terms if term.key == "status" and not term.negated for value in term.values}
    for name in conditions:
        if statuses and not statuses & _IMPLIED[name]:
            return f"is:{name} finds no job with the status {' or '.join(sorted(statuses))}: remove one of them."
    if "unaddressed" in conditions and any(term.key == "executor" and not term.negated for term in terms):
        return "is:unaddressed and executor: exclude each other: remove one of them."
    if statuses and statuses <= {"queued", "running"} and any(term.key == "finished" for term in terms):
        return "finished: finds no queued or running jobs: remove it, or the status."
    return None
