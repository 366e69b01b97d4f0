"""Checks of the database, of the jobs and workers in it, and of the vault."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.formatting.explanation import advice_for, queue_line, starts
from cogo_dagster.formatting.values import at_least
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.stats import HealthFacts, HeldSnapshot, QueueStats
from cogo_dagster.queue.stats import QueueNumbers, QueueReasons, WaitReason
from cogo_dagster.queue.transports.base import Transport

_SKEW_WARNING_SECONDS: Final = 5.0
_SKEW_FAILED_SECONDS: Final = 300.0
"""From this skew on, signatures and JWTs are rejected."""
_BUSY_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Facts:
    """Results of the SQL functions `health_facts`, `queue_stats` and `explain_queue`.

    Attributes:
        skew_seconds: How far the clock of this machine is ahead of the database.
        roundtrip_seconds: Duration of one call; half of it is the uncertainty of the skew.
    """

    health: HealthFacts
    stats: QueueStats
    reasons: QueueReasons
    skew_seconds: float
    roundtrip_seconds: float


def read_facts(
    transport: Transport, key_ids: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Facts:
    """Read the facts from the database.

    Args:
        key_ids: IDs of the keys with which secrets can be read.
        now: The clock of this machine.

    Raises:
        QueueError: The database is unreachable or rejects the call.
    """
    queue = Queue(transport)
    queue.schema_version()  # the first call opens the connection, which takes longer
    started, sent_at = time.monotonic(), now()
    health = queue.health_facts(key_ids)
    roundtrip_seconds = time.monotonic() - started
    skew_seconds = (sent_at - health.now).total_seconds() + roundtrip_seconds / 2
    return Facts(health, queue.stats(), QueueNumbers(transport).reasons(), skew_seconds, roundtrip_seconds)


def check_database(facts: Facts, *, where: str, pooled: bool) -> Iterator[Finding]:
    """Check connections and response time of the server, held snapshots, the clock skew, and the use of a pooler."""
    connections, limit = facts.health.connections, facts.health.max_connections
    version, duration = facts.health.server_version, f"{facts.roundtrip_seconds * 1000:.0f} ms"
    if connections > limit * _BUSY_SHARE:
        advice = "Run fewer workers, or increase max_connections."
        yield warning("database", f"{connections} of {limit} connections are in use.", advice)
    else:
        yield ok("database", f"PostgreSQL {version} ({where}) responds in {duration}.")
    yield _snapshot(facts.health.held_snapshot)
    yield _clock(facts)
    if pooled:
        yield warning(
            "pooler",
            "COGO_DATABASE_URL is a transaction pooler: notifications do not arrive, and workers poll.",
            "Set COGO_DATABASE_URL to the direct or session-mode address (port 5432 on Supabase).",
        )
    else:
        yield ok("pooler", "No transaction pooler.")


def check_work(facts: Facts) -> Iterator[Finding]:
    """Check that jobs are executed: orphaned jobs, live workers, dead-lettered jobs and pauses."""
    orphaned, alive, ready = facts.health.orphaned_jobs, facts.stats.workers_alive, facts.stats.ready
    if orphaned:
        oldest = facts.health.oldest_orphan_seconds
        minutes = oldest / 60 if isinstance(oldest, float) else 0
        yield failed(
            "orphaned_jobs",
            f"Running jobs whose expired lease is not recovered: {orphaned}, the oldest expired {minutes:.0f} min ago.",
            "Run `cogo recover leases`, or start a worker, which recovers them automatically.",
        )
    else:
        yield ok("orphaned_jobs", "No running job has an expired lease.")
    stranded = [one for one in facts.reasons.reasons if one.stranded]
    if stranded:
        yield _stranded(stranded)
    elif not alive and not ready:
        yield warning("workers", "No worker is alive; no job is due.", "Start one with `cogo worker`.")
    elif not alive:
        yield warning(
            "workers",
            f"No worker is alive; due jobs: {ready}. Dagster launched workers for them within the last hour.",
            f"Check that the sensor ready_jobs is running, or start one with {starts(facts.reasons.reasons)}.",
        )
    else:
        yield ok("workers", f"Live workers: {alive}; due jobs: {ready}.")
    if facts.health.silent_workers:
        yield _silent(facts.health.silent_workers)
    yield from _operator_work(facts)


def check_vault(facts: Facts, key_ids: Sequence[str], problem: str | None) -> Iterator[Finding]:
    """Check that the stored secrets can be decrypted with the keys of this process.

    Args:
        facts: Numbers of stored and unreadable secrets.
        key_ids: IDs of the keys, newest first.
        problem: Why there are no keys; None if there are keys.
    """
    stored, unreadable = facts.health.secrets, facts.health.unreadable_secrets
    if problem is not None and not stored:
        yield unused("vault", f"No secrets are stored. {problem}")
    elif problem is not None:
        yield failed("vault", f"Stored secrets that cannot be decrypted: {stored}.", problem)
    elif unreadable:
        yield warning(
            "vault",
            f"Secrets encrypted with a key that this process does not have: {unreadable} of {stored}.",
            "List them with `cogo vault list --all`; add the key to COGO_VAULT_KEYS, or set the secrets again.",
        )
    else:
        yield ok("vault", f"Stored secrets: {stored}; current key: {key_ids[0]}.")


def _snapshot(held: HeldSnapshot | None) -> Finding:
    if held is None:
        return ok("snapshot", "No snapshot is held for longer than a minute.")
    return warning("snapshot", held.message, held.remedy)


def _clock(facts: Facts) -> Finding:
    uncertainty = facts.roundtrip_seconds / 2
    skew = max(0.0, abs(facts.skew_seconds) - uncertainty)
    direction = "ahead of" if facts.skew_seconds > 0 else "behind"
    message = f"The clock of this machine is {skew:.0f} s {direction} the database."
    advice = "Synchronize both with NTP."
    if skew > _SKEW_FAILED_SECONDS:
        return failed("clock", message, f"{advice} Signed URLs and keys are rejected until then.")
    if skew > _SKEW_WARNING_SECONDS:
        return warning("clock", message, f"{advice} Leases are not affected: they use the clock of the database.")
    return ok(
        "clock",
        f"The clocks of this machine and of the database differ by less than {max(skew + uncertainty, 0.1):.1f} s.",
    )


def _stranded(stranded: Sequence[WaitReason]) -> Finding:
    lines = [queue_line(one, datetime.now(UTC)) for one in stranded]
    count = sum(one.count for one in stranded)
    jobs = at_least(count, more=any(one.has_more for one in stranded))
    noun = "due job" if count == 1 else "due jobs"
    advice = dict.fromkeys(filter(None, map(advice_for, stranded)))
    return failed(
        "workers",
        f"{jobs} {noun} cannot be claimed: {'; '.join(lines)}.",
        " ".join(advice),
    )


def _silent(workers: Sequence[str]) -> Finding:
    names = [f"{name} ({n})" if n > 1 else name for name, n in Counter(workers).items()]
    return warning(
        "silent_workers",
        f"Workers that send no heartbeats, were not stopped, and were not started again: {', '.join(names)}.",
        "Start them again; `cogo list workers` shows when they were last seen. After a day they count as gone.",
    )


def _operator_work(facts: Facts) -> Iterator[Finding]:
    dead_lettered, paused = facts.stats.dlq_open, facts.stats.paused
    if dead_lettered:
        yield warning("dlq", f"Dead-lettered jobs: {dead_lettered}.", "`cogo list incidents` groups them by error.")
    else:
        yield ok("dlq", "The dead-letter queue is empty.")
    if paused:
        yield warning("paused", "Types or executors are paused.", "See `cogo list paused`.")
