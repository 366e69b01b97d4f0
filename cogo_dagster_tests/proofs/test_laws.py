"""The laws of the queue hold in any order of events, and the proof notices when one of them is broken."""

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
"""Unset: a short proof, the same every time. Set: as many runs as it says, other ones each time."""

PROOF: Final = settings(
    max_examples=EXAMPLES or 120,
    stateful_step_count=50,
    derandomize=not EXAMPLES,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

BREAKAGES: Final = {
    "anybody may settle": (
        "settle_jobs",
        "and j.lease_token = i.lease_token and j.lease_expires_at",
        "and j.lease_expires_at",
    ),
    "anybody may renew": ("renew_leases", "j.lease_token = i.lease_token and j.lease_expires_at", "j.lease_expires_at"),
    "a crash costs nothing": (
        "recover_leases",
        "when e.never_started and not j.cancel_requested",
        "when not j.cancel_requested",
    ),
    "a good lease is taken back": ("recover_leases", "and j.lease_expires_at < at", ""),
    "attempts are not counted": ("claim_jobs", "attempts = j.attempts + 1", "attempts = j.attempts"),
    "a claim cannot be repeated": ("claim_jobs", "if answer is null then", "if true then"),
    "the worst come first": ("claim_jobs", "generate_series(0, 9)", "generate_series(9, 0, -1)"),
    "a snooze is an attempt": (
        "settle_jobs",
        "i.outcome in ('snoozed', 'requeued') and following.status",
        "i.outcome = 'requeued' and following.status",
    ),
    "a retry comes at once": ("settle_jobs", "cogo_internal.backoff_seconds(j.attempts)", "0"),
    "a failed job is not dead-lettered": ("settle_jobs", "if dead is not null then", "if false then"),
    "a pause stops nothing": ("claim_jobs", "cogo_internal.paused_types(claim_jobs.executor_id)", "null"),
    "a letter is replayed twice": (
        "replay_dlq",
        "set replayed_at = at, replayed_job_id = j.id",
        "set replayed_job_id = j.id",
    ),
    "a retry leaves the letter open": ("retry_failed", "set closed_at = at where", "set closed_at = null where"),
    "a replayed job is retried": ("retry_failed", "and d.replayed_at is not null", "and false"),
    "a purge takes the living": (
        "purge_jobs",
        "delete from public.jobs j where j.id = any (taken)",
        "delete from public.jobs j where j.status <> 'running' and cardinality(taken) > 0",
    ),
    "a stale plan is done": ("retry_failed", "i.version = j.xmin::text", "true"),
}


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """Lend a queue with a connection of its owner."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=1)
    with psycopg.connect(dsn, autocommit=True) as owner:
        yield Database(Queue(transport), owner)
    transport.close()


def test_the_laws_hold_in_any_order_of_events(database: Database) -> None:
    """Three workers, expiring leases, stale and repeated calls: after every step the tables are what the model says.

    `-rP` shows how many steps that were.
    """
    steps, drained = OperatorMachine.steps, OperatorMachine.drained
    run(database, PROOF)
    assert OperatorMachine.drained - drained >= PROOF.max_examples / 2
    steps, drained = OperatorMachine.steps - steps, OperatorMachine.drained - drained
    print(f"The laws held through {steps} steps and {drained} drains.")  # noqa: T201


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_law_is_noticed(database: Database, breakage: str) -> None:
    """The proof can fail: each of these databases breaks one law, and the same machine finds out."""
    function, sound, broken = BREAKAGES[breakage]
    [(source,)] = database.owner.execute(
        "select pg_get_functiondef(oid) from pg_proc where proname = %s", (function,)
    ).fetchall()
    assert sound in source
    database.owner.execute(source.replace(sound, broken).encode())
    hasty = settings(PROOF, max_examples=1_000, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run(database, hasty)


def run(database: Database, how: settings) -> None:
    """Let the machine run."""
    machine: Any = lambda: OperatorMachine(database)  # noqa: E731 - a class, says the signature; whatever makes one, the code
    run_state_machine_as_test(machine, settings=how)
