"""Explains the status of a job as text with advice. Pure functions: SQL determines the reason."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from cogo_dagster.formatting.values import at_least, span
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.jobs import JobReason
from cogo_dagster.queue.stats import WaitReason

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


def short_reason(fact: JobReason | WaitReason, now: datetime) -> str:
    """Return the reason why a queued job waits in a few words, or "" for a job that is not queued."""
    if fact.why == "paused":
        return f"{fact.kind} {fact.name} is paused"
    if fact.why == "waiting":
        until = _span(fact.next_run_at, now, nearest=True)
        is_retry = isinstance(fact, JobReason) and fact.attempts
        if isinstance(fact, JobReason) and fact.snoozed:
            return f"snoozed for {until}"
        return f"retry in {until}" if is_retry else f"due in {until}"
    if fact.why == "no_executor":
        setting = _REQUIRED_SETTINGS.get(fact.family or "")
        return f"no live worker runs {fact.family} jobs" + (f", which need {setting}" if setting else "")
    template = _SHORT_REASONS.get(fact.why)
    return template.format_map(vars(fact)) if template else ""


def queue_line(one: WaitReason, now: datetime) -> str:
    """Return a reason why queued jobs wait as a line: `20 figma: no worker is alive, the oldest for 3 h`."""
    address = f" for {one.executor_id}" if one.executor_id else ""
    oldest = f", the oldest for {span(one.oldest_seconds)}" if one.oldest_seconds is not None else ""
    return f"{at_least(one.count, more=one.has_more)} {one.family}{address}: {short_reason(one, now)}{oldest}"


def advice_for(reason: WaitReason) -> str | None:
    """Return what makes stranded jobs run; None if they are not stranded."""
    return f"Start one with {_start(reason.family, reason.executor_id)}." if reason.stranded else None


def starts(reasons: Iterable[WaitReason]) -> str:
    """Return the commands that start workers for the due jobs of reasons, each once."""
    due = [reason for reason in reasons if reason.why.startswith("no_")]
    commands = dict.fromkeys(_start(reason.family, reason.executor_id) for reason in due)
    return "; ".join(commands) or "`cogo worker`"


def _start(family: str | None, executor_id: str | None) -> str:
    """Return the command that starts a worker for a family and executor ID, with what it needs."""
    setting = _REQUIRED_SETTINGS.get(family or "")
    needed = [*([setting] if setting else []), *([f"EXECUTOR_ID={executor_id}"] if executor_id else [])]
    with_settings = f" and {' and '.join(needed)} set" if needed else ""
    if family is None or family in _BUILT_IN:
        return f"`cogo worker`{with_settings}"
    return f"`cogo worker`{with_settings}, on a machine with an executor for {family} installed"


def _paused(fact: JobReason, now: datetime) -> str:
    reason = f": {fact.reason}" if fact.reason else ""
    since = _span(now, fact.paused_at)
    return (
        f"{fact.kind} {fact.name} has been paused for {since} by {fact.actor}{reason}; "
        f"resume with `cogo resume {fact.kind} {fact.name}`"
    )


def _waiting(fact: JobReason, now: datetime) -> str:
    until = _span(fact.next_run_at, now, nearest=True)
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
    return f"no live worker runs {fact.family} jobs: start one with {_start(fact.family, fact.executor_id)}"


def _no_address(fact: JobReason) -> str:
    command = _start(fact.family, fact.executor_id)
    return f"no live worker serves the executor ID {fact.executor_id}: start one with {command}"


def _running(fact: JobReason, now: datetime) -> str:
    left = _span(fact.lease_expires_at, now)
    return f"running on {fact.worker_id}; the lease expires in {left}"


def _lease_expired(fact: JobReason, now: datetime) -> str:
    ago = _span(now, fact.lease_expires_at)
    return (
        f"the lease of {fact.worker_id} expired {ago} ago; it is recovered by any worker, or by `cogo recover leases`"
    )


def _failed(fact: JobReason, now: datetime) -> str:
    if fact.replayed_job_id:
        return f"failed, and was replayed as job {fact.replayed_job_id}"
    reason = str(fact.reason or "failed").replace("_", " ")
    if fact.discarded_at:
        return f"failed ({reason}), and was discarded {_span(now, fact.discarded_at)} ago: {fact.discard_reason}"
    return f"failed ({reason}); run it again with `cogo replay dlq` or `cogo retry failed`"


def _span(later: datetime | Unreadable | None, earlier: datetime | Unreadable | None, *, nearest: bool = False) -> str:
    """Return the time between two times, either of which may be unreadable."""
    if not isinstance(later, datetime) or not isinstance(earlier, datetime):
        return "an unreadable time"
    duration = span(max(0.0, (later - earlier).total_seconds()), nearest=nearest)
    return "0 s" if duration == "now" else duration


_REQUIRED_SETTINGS: Final[Mapping[str, str]] = {
    "figma": "FIGMA_API_TOKEN",
    "gate": "COGO_GATE_COMMANDS",
    "gate_fix": "COGO_GATE_COMMANDS",
}
"""Settings that a worker requires to serve a family."""

_BUILT_IN: Final = frozenset({"browser", "figma", "gate", "gate_fix", "weekly_summary"})
"""Families that every installation can run; those of other packages need their executor."""

_SHORT_REASONS: Final[Mapping[str, str]] = {
    "no_worker": "no worker is alive",
    "no_address": "no live worker serves {executor_id}",
    "busy": "all {slots} slots are busy",
    "in_line": "due",
}

_TEMPLATES: Final[Mapping[str, str]] = {
    "busy": "all slots ({slots}) of the workers that can run it are busy",
    "succeeded": "succeeded",
    "cancelled": "cancelled",
}

_FUNCTIONS: Final[Mapping[str, Callable[[JobReason, datetime], str]]] = {
    "paused": _paused,
    "waiting": _waiting,
    "in_line": lambda fact, _: _due(fact),
    "no_worker": lambda fact, _: f"no worker is alive: start one with {_start(fact.family, fact.executor_id)}",
    "no_executor": lambda fact, _: _no_executor(fact),
    "no_address": lambda fact, _: _no_address(fact),
    "running": _running,
    "lease_expired": _lease_expired,
    "failed": _failed,
}
