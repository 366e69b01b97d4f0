"""What the database says of itself and of the work in it, read as findings."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, unused, warning
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.stats import HealthFacts, QueueStats
from cogo_dagster.queue.transports.base import Transport

_SKEW_WARNING_SECONDS: Final = 5.0
_SKEW_FAILED_SECONDS: Final = 300.0
"""Signatures and JWTs are refused from here on."""
_BUSY_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Facts:
    """What SQL's `health_facts` and `queue_stats` answered.

    Attributes:
        skew_seconds: How far this machine's clock is ahead of the database's.
        roundtrip_seconds: How long one call took; the skew is known to half of it.
    """

    health: HealthFacts
    stats: QueueStats
    skew_seconds: float
    roundtrip_seconds: float


def read_facts(
    transport: Transport, key_ids: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Facts:
    """Ask the database.

    Args:
        now: This machine's clock.

    Raises:
        QueueError: It cannot be asked.
    """
    queue = Queue(transport)
    queue.schema_version()  # the first call opens the connection, which takes longer
    started, sent_at = time.monotonic(), now()
    health = queue.health_facts(key_ids)
    roundtrip_seconds = time.monotonic() - started
    skew_seconds = (sent_at - health.now).total_seconds() + roundtrip_seconds / 2
    return Facts(health, queue.stats(), skew_seconds, roundtrip_seconds)


def check_database(facts: Facts, *, where: str, pooled: bool) -> Iterator[Finding]:
    """Say how the server is, how far the clocks are apart, and what stands before it."""
    connections, most = facts.health.connections, facts.health.max_connections
    version, took = facts.health.server_version, f"{facts.roundtrip_seconds * 1000:.0f} ms"
    if connections > most * _BUSY_SHARE:
        advice = "Run fewer workers, or raise max_connections."
        yield warning("database", f"{connections} of {most} connections are taken.", advice)
    else:
        yield ok("database", f"PostgreSQL {version} ({where}) answers in {took}.")
    yield _clock(facts)
    if pooled:
        yield warning(
            "pooler",
            "A transaction pooler stands before the database: enqueues cannot wake workers, they poll.",
            "Give COGO_DATABASE_URL the direct or session-mode address (port 5432 on Supabase).",
        )
    else:
        yield ok("pooler", "No transaction pooler is in the way.")


def check_work(facts: Facts) -> Iterator[Finding]:
    """Say whether somebody takes care of the jobs."""
    orphaned, alive, ready = facts.health.orphaned_jobs, facts.stats.workers_alive, facts.stats.ready
    if orphaned:
        oldest = facts.health.oldest_orphan_seconds
        minutes = oldest / 60 if isinstance(oldest, float) else 0
        yield failed(
            "orphaned_jobs",
            f"{orphaned} running jobs lost their worker, the first {minutes:.0f} min ago, and nobody recovers them.",
            "Run `cogo recover leases`; a running worker does it by itself.",
        )
    else:
        yield ok("orphaned_jobs", "No running job has lost its worker.")
    if not alive and ready:
        yield failed("workers", f"{ready} jobs are due and no worker is alive.", "Start one with `cogo worker`.")
    elif not alive:
        yield warning("workers", "No worker is alive; nothing is due.", "Start one with `cogo worker`.")
    else:
        yield ok("workers", f"{alive} workers are alive, {ready} jobs are due.")
    yield from _waiting_for_people(facts)


def check_vault(facts: Facts, key_ids: Sequence[str], problem: str | None) -> Iterator[Finding]:
    """Say whether the secrets kept here can be read here.

    Args:
        problem: Why there are no keys, if there are none.
    """
    kept, unreadable = facts.health.secrets, facts.health.unreadable_secrets
    if problem is not None and not kept:
        yield unused("vault", f"No secrets are kept. {problem}")
    elif problem is not None:
        yield failed("vault", f"{kept} secrets are kept and cannot be read.", problem)
    elif unreadable:
        yield warning(
            "vault",
            f"{unreadable} of {kept} secrets are encrypted with a key that is not here.",
            "`cogo vault list --all` shows which; add that key to COGO_VAULT_KEYS, or set them again.",
        )
    else:
        yield ok("vault", f"{kept} secrets are kept; this process has the key {key_ids[0]}.")


def _clock(facts: Facts) -> Finding:
    sure = facts.roundtrip_seconds / 2
    apart = max(0.0, abs(facts.skew_seconds) - sure)
    way = "ahead of" if facts.skew_seconds > 0 else "behind"
    sentence = f"This machine's clock is {apart:.0f} s {way} the database's."
    advice = "Let both follow a time server (NTP)."
    if apart > _SKEW_FAILED_SECONDS:
        return failed("clock", sentence, f"{advice} Signed addresses and keys are refused until then.")
    if apart > _SKEW_WARNING_SECONDS:
        return warning("clock", sentence, f"{advice} Leases do not mind: only the database's clock counts for them.")
    return ok("clock", f"This machine's clock and the database's differ by less than {max(apart + sure, 0.1):.1f} s.")


def _waiting_for_people(facts: Facts) -> Iterator[Finding]:
    letters, paused = facts.stats.dlq_open, facts.stats.paused
    if letters:
        yield warning(
            "dlq", f"{letters} jobs are in the dead-letter queue.", "`cogo list incidents` groups them by cause."
        )
    else:
        yield ok("dlq", "The dead-letter queue is empty.")
    if paused:
        yield warning("paused", "Something is paused.", "`cogo list paused` says what, by whom and why.")
