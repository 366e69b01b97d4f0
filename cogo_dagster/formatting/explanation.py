"""Why a job is where it is, in a sentence that says what to do. Pure: the engine finds the fact, this words it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from cogo_dagster.formatting.values import span
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.jobs import JobReason

_LONG_LINE: Final = 1_000


def why(fact: JobReason, now: datetime) -> str:
    """Word one answer of the SQL function `explain_jobs`.

    Args:
        fact: With `why`, and what belongs to it.
        now: With a time zone.
    """
    told = _TOLD.get(fact.why)
    if told:
        return told(fact, now)
    plain = _PLAIN.get(fact.why)
    return plain.format_map(vars(fact)) if plain else f"has the status {fact.why}, which is unreadable"


def _paused(fact: JobReason, now: datetime) -> str:
    reason = f": {fact.reason}" if fact.reason else ""
    since = _span(now, fact.paused_at)
    return (
        f"{fact.kind} {fact.name} is paused for {since} by {fact.actor}{reason}; "
        f"`cogo resume {fact.kind} {fact.name}` lets it go on"
    )


def _waiting(fact: JobReason, now: datetime) -> str:
    until = _span(fact.next_run_at, now)
    if fact.snoozed:
        return f"was put off, and waits {until} more: {fact.snoozed.rstrip('.')}"
    return f"waits {until} for its {'next attempt' if fact.attempts else 'time'}"


def _in_line(fact: JobReason) -> str:
    ahead = fact.ahead or 0
    if not ahead:
        return "is due, and next in line"
    count = f"{ahead:,} or more" if ahead >= _LONG_LINE else str(ahead)
    return f"is due; {count} {'job is' if ahead == 1 else 'jobs are'} before it"


def _no_executor(fact: JobReason) -> str:
    needed = _NEEDED.get(fact.family or "")
    return f"no worker alive runs {fact.family} jobs" + (f": start one with {needed} set" if needed else "")


def _running(fact: JobReason, now: datetime) -> str:
    left = _span(fact.lease_expires_at, now)
    return f"runs on {fact.worker_id}, whose lease lasts {left} more"


def _lease_expired(fact: JobReason, now: datetime) -> str:
    ago = _span(now, fact.lease_expires_at)
    return (
        f"its worker {fact.worker_id} has not renewed the lease that ended {ago} ago; "
        "any worker takes it back, or `cogo recover leases`"
    )


def _failed(fact: JobReason) -> str:
    if fact.replayed_job_id:
        return f"has failed and was replayed as job {fact.replayed_job_id}"
    reason = str(fact.reason or "failed").replace("_", " ")
    return f"has failed ({reason}); `cogo replay dlq` or `cogo retry failed` runs it again"


def _span(later: datetime | Unreadable | None, earlier: datetime | Unreadable | None) -> str:
    """Say how much lies between two times, of which a row may hold one that cannot be read."""
    if not isinstance(later, datetime) or not isinstance(earlier, datetime):
        return "an unreadable time"
    words = span(max(0.0, (later - earlier).total_seconds()))
    return "0 s" if words == "now" else words


_NEEDED: Final[Mapping[str, str]] = {"figma": "FIGMA_API_TOKEN"}
"""Settings without which a worker leaves a family alone."""

_PLAIN: Final[Mapping[str, str]] = {
    "no_worker": "no worker is alive: start one with `cogo worker`",
    "no_address": "no worker alive serves the executor id {executor_id}: start one with EXECUTOR_ID={executor_id}",
    "busy": "all {slots} slots of the workers that could take it are busy",
    "succeeded": "has succeeded",
    "cancelled": "was cancelled",
}

_TOLD: Final[Mapping[str, Callable[[JobReason, datetime], str]]] = {
    "paused": _paused,
    "waiting": _waiting,
    "in_line": lambda fact, _: _in_line(fact),
    "no_executor": lambda fact, _: _no_executor(fact),
    "running": _running,
    "lease_expired": _lease_expired,
    "failed": lambda fact, _: _failed(fact),
}
