"""The functions follow the lease protocol's model in random orders, and a broken function is detected."""

import os
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.proofs import lease_model
from cogo_dagster_tests.proofs.lease_machine import LeaseMachine, LostLeaseMachine
from cogo_dagster_tests.proofs.machine import Database

EXAMPLES: Final = int(os.environ.get("COGO_PROOF_EXAMPLES", "0"))
"""Unset: a short, reproducible run, of more than twice the examples in which the last broken function is detected.

Set: this many random examples.
"""

PROOF: Final = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

BROKEN_FUNCTIONS: Final = {
    "no fence": (
        "succeed_jobs",
        "and j.lease_token = item.lease_token and j.lease_expires_at is not null",
        "and j.lease_expires_at is not null",
    ),
    "attempts are counted late": ("claim_jobs", "attempts = j.attempts + 1", "attempts = j.attempts"),
    "a crash refunds the attempt": (
        "recover_leases",
        "when e.never_started and not j.cancel_requested",
        "when not j.cancel_requested",
    ),
    "a claim cannot be repeated": (
        "claim_jobs",
        "if result is null and unlocked is null then",
        "if unlocked is null then",
    ),
    "a claim outlives its lease": ("claim_jobs", "where e.claim_id = claim_jobs.claim_id)", "where false)"),
    "a settlement cannot be repeated": (
        "settle_jobs",
        "when j.lease_token = i.lease_token and (j.status = i.outcome",
        "when false and (j.status = i.outcome",
    ),
    "an unexpired lease is recovered": ("recover_leases", "and j.lease_expires_at < at", ""),
}
"""For each protocol without one of its rules, a function without it."""

NEED_LOST_LEASES: Final = ("no fence", "a claim outlives its lease")

STEPS: Final = {
    *("begins to claim", "repeats its claim", "learns that its claim has ended", "claims job N"),
    *("claims job N, reply lost", "succeeds", "renews", "fails", "stops in order", "learns that its lease is lost"),
    *("settles", "settles, reply lost", "repeats its settlement", "is refused", "crashes"),
}


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """Yield a queue and a connection of its owner."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=1)
    with psycopg.connect(dsn, autocommit=True) as owner:
        yield Database(Queue(transport), owner)
    transport.close()


@pytest.mark.timeout(600)
def test_the_database_does_what_the_model_says(database: Database) -> None:
    """After every step both agree, and every kind of step of the model was executed."""
    LeaseMachine.visited.clear()
    for machine in (LeaseMachine, LostLeaseMachine):
        _run(database, PROOF, machine)
    made = {name.removeprefix("worker N ") for name in LeaseMachine.visited}
    assert made == STEPS | {"lease of job N expires", "recovered"}


def test_every_broken_protocol_has_a_broken_function() -> None:
    """A protocol added to the model must be tested on the database too."""
    assert BROKEN_FUNCTIONS.keys() == lease_model.BROKEN.keys()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BROKEN_FUNCTIONS)
def test_a_function_without_a_rule_is_detected(database: Database, name: str) -> None:
    """Some order of steps ends in a state where model and database differ."""
    function, sound, broken = BROKEN_FUNCTIONS[name]
    [(source,)] = database.owner.execute(
        "select pg_get_functiondef(oid) from pg_proc where proname = %s", (function,)
    ).fetchall()
    assert sound in source
    database.owner.execute(source.replace(sound, broken).encode())
    search = settings(PROOF, max_examples=1_000, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        _run(database, search, LostLeaseMachine if name in NEED_LOST_LEASES else LeaseMachine)


def _run(database: Database, how: settings, of: type[LeaseMachine] = LeaseMachine) -> None:
    machine: Any = lambda: of(database)  # noqa: E731 - typed as a class, but any factory works
    run_state_machine_as_test(machine, settings=how)
