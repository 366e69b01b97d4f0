"""The qualifiers of the filter language: names, values and descriptions, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")

CONDITIONS: Final = (
    "due",
    "scheduled",
    "paused",
    "unaddressed",
    "dead-lettered",
    "discarded",
    "lease-expired",
    "skipped",
)

ORDERS: Final = ("newest", "oldest")

Kind = Literal["word", "text", "time", "number", "id", "release", "payload"]


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A qualifier.

    Attributes:
        kind: How its value is written.
        key: The key of the filter that `query_jobs` takes.
        values: All values of a `word`; for others, values to suggest.
        is_list: Whether it takes several values, separated by commas: any of them matches.
        negatable: Whether `-` in front of it means none of the values.
    """

    name: str
    kind: Kind
    key: str
    meaning: str
    values: tuple[str, ...] = ()
    is_list: bool = False
    negatable: bool = False


_TIMES: Final = ("today", "yesterday", "1h", "24h", "7d")


def _text(name: str, key: str, meaning: str) -> Qualifier:
    return Qualifier(name, "text", key, meaning, is_list=True, negatable=True)


_ALL: Final = (
    Qualifier("status", "word", "statuses", ", ".join(STATUSES), STATUSES, is_list=True, negatable=True),
    _text("type", "types", "prefix of the type: browser includes browser.pdf, =browser does not"),
    _text("family", "families", "exactly this family of types"),
    _text("error", "error_classes", "class of the last error, such as timeout"),
    _text("cause", "causes", "fingerprint of a cause in the dead-letter queue"),
    _text("executor", "executor_ids", "executor ID that the job is addressed to"),
    _text("worker", "worker_ids", "worker of the last attempt: its ID, or 8 digits of its instance's"),
    _text("host", "hosts", "host name of the last attempt's worker"),
    Qualifier(
        "release",
        "release",
        "releases",
        "release on which it failed, else ran: 0.1.0, current, older or <0.2.0",
        ("current", "older"),
        is_list=True,
        negatable=True,
    ),
    Qualifier("created", "time", "created", "created in the last 2h, today, yesterday, on a date, or FROM..TO", _TIMES),
    Qualifier("since", "time", "created", "created since 2h ago, yesterday or a date", _TIMES),
    Qualifier("until", "time", "created", "created until 2h ago, yesterday or a date, which is included", _TIMES),
    Qualifier("finished", "time", "finished", "finished, as `created`", _TIMES),
    Qualifier("lost", "time", "lost", "an attempt lost its lease, as `created`", _TIMES),
    Qualifier("priority", "number", "priority", "0 (first) to 9: 3, 0..3, <3 or >3", tuple(map(str, range(10)))),
    Qualifier("is", "word", "conditions", f"{', '.join(CONDITIONS)}; all must hold", CONDITIONS, is_list=True),
    Qualifier("payload", "payload", "payload", "payload.KEY:VALUE, such as payload.viewport.width:1280; * at the end"),
    Qualifier("id", "id", "ids", "8 or more first or last digits of an ID", is_list=True),
    Qualifier("attempt", "id", "attempts", "job of an attempt; its ID is in the addresses of artifacts", is_list=True),
    Qualifier("run", "id", "runs", "claimed last by a worker of this Dagster run", is_list=True),
    Qualifier("action", "id", "action_id", "jobs that a bulk action changed or skipped"),
    Qualifier("sort", "word", "order", "newest (default) or oldest first", ORDERS),
)

QUALIFIERS: Final[Mapping[str, Qualifier]] = {qualifier.name: qualifier for qualifier in _ALL}

ALIASES: Final[Mapping[str, str]] = {"device": "host"}
"""Former names that still work."""


EXAMPLES: Final[Mapping[str, str]] = {
    "error:timeout finished:yesterday": "jobs that timed out yesterday",
    "status:failed release:older": "failures of releases before this one",
    "type:browser -host:mac-1 lost:7d": "browser jobs that lost a lease within a week, unless mac-1 ran them last",
    "is:dead-lettered cause:a122079610cf8438": "open dead-lettered jobs of one cause",
    "payload.url:https://shop.example.com/* sort:oldest": "jobs of one site, oldest first",
    "created:2026-11-20..2026-11-26 priority:<3": "jobs of a week with the first three priorities",
    "action:34bf7706": "the jobs of a bulk action, and those that replay them",
    "action:34bf7706 is:skipped": "the jobs that a bulk action skipped",
}
"""Filters and what they find, for the documentation."""


def qualifier_of(name: str) -> Qualifier | None:
    """Return a qualifier by the name that was typed, in lower case; None if there is none."""
    if name.startswith("payload."):
        return QUALIFIERS["payload"] if all(name.split(".")) else None
    return QUALIFIERS.get(ALIASES.get(name, name)) if name != "payload" else None


def nearest(name: str) -> str | None:
    """Return the qualifier that an unknown one most likely means; None if none is similar."""
    head, dot, rest = name.partition(".")
    found = get_close_matches(head, [*QUALIFIERS, *ALIASES], n=1, cutoff=0.6)
    if not found:
        return None
    return f"{found[0]}{dot}{rest}" if found[0] == "payload" and rest else found[0]


def nearest_value(value: str, values: tuple[str, ...]) -> str | None:
    """Return the value that an unknown one most likely means; None if none is similar."""
    return next(iter(get_close_matches(value, values, n=1, cutoff=0.6)), None)
