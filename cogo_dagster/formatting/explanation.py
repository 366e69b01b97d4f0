"""Explains the status of a job as text with advice. Pure functions: SQL determines the reason."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from cogo_dagster.formatting.values import span
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.jobs import JobReason

_MAX_AHEAD: Final = 1_000


def why(fact: JobReason, now: datetime) -> str:
    """Return the text for a reason from the SQL function `explain_jobs`.

    Args:
        fact: The reason, with the values that belong to it.
        now: Current time, with a time zone.
    """
    function = _FUNCTIONS.get(fact.why)
    if function:
        return function(fact, now)
    template = _TEMPLATES.get(fact.why)
    return template.format_map(vars(fact)) if template else f"unknown reason: {fact.why}"


def _paused(fact: JobReason, now: datetime) -> str:
    reason = f": {fact.reason}" if fact.reason else ""
    since = _span(now, fact.paused_at)
    return (
        f"{fact.kind} {fact.name} has been paused for {since} by {fact.actor}{reason}; "
        f"resume with `cogo resume {fact.kind} {fact.name}`"
    )


def _waiting(fact: JobReason, now: datetime) -> str:
    until = _span(fact.next_run_at, now)
    if fact.snoozed:
        return f"snoozed for another {until}: {fact.snoozed.rstrip('.')}"
    return f"{'next' if fact.attempts else 'first'} attempt is due in {until}"


def _due(fact: JobReason) -> str:
    ahead = fact.ahead or 0
    if not ahead:
        return "due, and first in the queue"
    count = f"{ahead:,} or more" if ahead >= _MAX_AHEAD else str(ahead)
    return f"due; {count} {'job is' if ahead == 1 else 'jobs are'} ahead of it"


def _no_executor(fact: JobReason) -> str:
    needed = _REQUIRED_SETTINGS.get(fact.family or "")
    return f"no live worker runs {fact.family} jobs" + (f": start one with {needed} set" if needed else "")


def _running(fact: JobReason, now: datetime) -> str:
    left = _span(fact.lease_expires_at, now)
    return f"running on {fact.worker_id}; the lease expires in {left}"


def _lease_expired(fact: JobReason, now: datetime) -> str:
    ago = _span(now, fact.lease_expires_at)
    return (
        f"the lease of {fact.worker_id} expired {ago} ago; it is recovered by any worker, or by `cogo recover leases`"
    )


def _failed(fact: JobReason) -> str:
    if fact.replayed_job_id:
        return f"failed, and was replayed as job {fact.replayed_job_id}"
    reason = str(fact.reason or "failed").replace("_", " ")
    return f"failed ({reason}); run it again with `cogo replay dlq` or `cogo retry failed`"


def _span(later: datetime | Unreadable | None, earlier: datetime | Unreadable | None) -> str:
    """Return the time between two times, either of which may be unreadable."""
    if not isinstance(later, datetime) or not isinstance(earlier, datetime):
        return "an unreadable time"
    duration = span(max(0.0, (later - earlier).total_seconds()))
    return "0 s" if duration == "now" else duration


_REQUIRED_SETTINGS: Final[Mapping[str, str]] = {"figma": "FIGMA_API_TOKEN"}
"""Settings that a worker requires to serve a family."""

_TEMPLATES: Final[Mapping[str, str]] = {
    "no_worker": "no worker is alive: start one with `cogo worker`",
    "no_address": "no live worker serves the executor ID {executor_id}: start one with EXECUTOR_ID={executor_id}",
    "busy": "all slots ({slots}) of the workers that can run it are busy",
    "succeeded": "succeeded",
    "cancelled": "cancelled",
}

_FUNCTIONS: Final[Mapping[str, Callable[[JobReason, datetime], str]]] = {
    "paused": _paused,
    "waiting": _waiting,
    "in_line": lambda fact, _: _due(fact),
    "no_executor": lambda fact, _: _no_executor(fact),
    "running": _running,
    "lease_expired": _lease_expired,
    "failed": lambda fact, _: _failed(fact),
}
