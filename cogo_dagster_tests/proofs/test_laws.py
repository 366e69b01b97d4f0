"""The invariants hold in any order of events, and the test detects a violation of each."""

import os
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.proofs.machine import Database
from cogo_dagster_tests.proofs.operators import OperatorMachine

EXAMPLES: Final = int(os.environ.get("COGO_PROOF_EXAMPLES", "0"))
"""Unset: a short, reproducible run, of more than twice the 21 examples in which the last breakage is noticed.

Set: this many random examples.
"""

PROOF: Final = settings(
    max_examples=EXAMPLES or 44,
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

BREAKAGES: Final = {
    "any token may settle": (
        "settle_jobs",
        "and j.lease_token = i.lease_token and j.lease_expires_at",
        "and j.lease_expires_at",
    ),
    "any token may renew": (
        "renew_leases",
        "j.lease_token = i.lease_token and j.lease_expires_at",
        "j.lease_expires_at",
    ),
    "a crash costs no attempt": (
        "recover_leases",
        "when e.never_started and not j.cancel_requested",
        "when not j.cancel_requested",
    ),
    "an unexpired lease is recovered": ("recover_leases", "and j.lease_expires_at < at", ""),
    "attempts are not counted": ("claim_jobs", "attempts = j.attempts + 1", "attempts = j.attempts"),
    "a claim cannot be repeated": (
        "claim_jobs",
        "if result is null and unlocked is null then",
        "if unlocked is null then",
    ),
    "the lowest priority comes first": ("claim_jobs", "generate_series(0, 9)", "generate_series(9, 0, -1)"),
    "a snooze counts an attempt": (
        "settle_jobs",
        "i.outcome in ('snoozed', 'requeued') and following.status",
        "i.outcome = 'requeued' and following.status",
    ),
    "a retry has no backoff": ("settle_jobs", "cogo_internal.backoff_seconds(j.attempts)", "0"),
    "a failed job is not dead-lettered": ("settle_jobs", "if dead is not null then", "if false then"),
    "a pause has no effect": ("claim_jobs", "cogo_internal.paused_types(claim_jobs.executor_id)", "null"),
    "a dead-lettered job is replayed twice": (
        "replay_dlq",
        "set replayed_at = at, replayed_job_id = j.id",
        "set replayed_job_id = j.id",
    ),
    "a retry leaves the DLQ row open": ("retry_failed", "set closed_at = at where", "set closed_at = null where"),
    "a replayed job is retried": ("retry_failed", "and d.replayed_at is not null", "and false"),
    "a purge deletes live jobs": (
        "purge_jobs",
        "delete from public.jobs j where j.id = any (taken)",
        "delete from public.jobs j where j.status <> 'running' and cardinality(taken) > 0",
    ),
    "a stale plan is applied": ("retry_failed", "i.version = j.xmin::text", "true"),
}


class UrgentMachine(OperatorMachine):
    """Some runs begin with a job of the highest priority, so that a wrong order is detected in the first claims."""

    sixth_priority = 0


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """Yield a queue and a connection of its owner."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=1)
    with psycopg.connect(dsn, autocommit=True) as owner:
        yield Database(Queue(transport), owner)
    transport.close()


def test_the_laws_hold_in_any_order_of_events(database: Database) -> None:
    """Three workers, expiring leases, stale and repeated calls: after every step the tables equal the model.

    `-rP` shows the number of steps.
    """
    steps, drained = OperatorMachine.steps, OperatorMachine.drained
    run(database, PROOF)
    assert OperatorMachine.drained - drained >= PROOF.max_examples / 2
    steps, drained = OperatorMachine.steps - steps, OperatorMachine.drained - drained
    print(f"The invariants held through {steps} steps and {drained} drains.")  # noqa: T201


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_law_is_noticed(database: Database, breakage: str) -> None:
    """Each of these functions violates one invariant, and the machine detects it."""
    function, sound, broken = BREAKAGES[breakage]
    [(source,)] = database.owner.execute(
        "select pg_get_functiondef(oid) from pg_proc where proname = %s", (function,)
    ).fetchall()
    assert sound in source
    database.owner.execute(source.replace(sound, broken).encode())
    search = settings(PROOF, max_examples=1_000, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run(database, search, UrgentMachine if breakage == "the lowest priority comes first" else OperatorMachine)


def run(database: Database, how: settings, of: type[OperatorMachine] = OperatorMachine) -> None:
    """Run the machine."""
    machine: Any = lambda: of(database)  # noqa: E731 - typed as a class, but any factory works
    run_state_machine_as_test(machine, settings=how)
