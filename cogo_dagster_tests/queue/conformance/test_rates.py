"""Rate limits: a token bucket and a circuit breaker per name, shared by all callers."""

from datetime import UTC, datetime, timedelta

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.rates import Rate, RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, take

SLOW = Rate("alerts:slack", capacity=2, refill_per_second=0.001)


@pytest.fixture
def rates(transport: Transport) -> RateLimits:
    """Return the rate limits of the test's database."""
    return RateLimits(transport)


def test_a_full_bucket_grants_its_capacity_and_then_returns_the_wait(rates: RateLimits) -> None:
    """Two calls are granted at once, the third after a thousand seconds."""
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, True]
    third = rates.acquire(SLOW)
    assert not third.granted
    assert third.open_until is None
    assert 999 < third.wait_seconds <= 1_000


def test_a_denied_request_takes_no_tokens(rates: RateLimits) -> None:
    """Repeated requests do not delay the grant."""
    rates.acquire(SLOW, cost=1.5)
    for _ in range(5):
        assert not rates.acquire(SLOW).granted
    assert rates.acquire(SLOW, cost=0.5).granted


def test_tokens_are_refilled_up_to_the_capacity(rates: RateLimits, owner: Owner) -> None:
    """A thousand seconds add one token, and a year two."""
    rates.acquire(SLOW, cost=2)
    _pass(owner, 1_000)
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, False]
    _pass(owner, 31_536_000)
    assert [rates.acquire(SLOW).granted for _ in range(3)] == [True, True, False]


def test_a_clock_that_was_set_back_removes_no_tokens(rates: RateLimits, owner: Owner) -> None:
    """The last refill is in the future after the change."""
    rates.acquire(SLOW)
    _pass(owner, -3_600)
    assert rates.acquire(SLOW).granted


def test_each_name_has_its_own_bucket(rates: RateLimits) -> None:
    """An empty bucket does not affect others."""
    rates.acquire(SLOW, cost=2)
    assert rates.acquire(Rate("alerts:http", 2, 0.001)).granted


def test_an_open_circuit_grants_nothing_and_returns_its_reason(rates: RateLimits) -> None:
    """Neither a full bucket nor a small cost matters."""
    until = rates.open_circuit(SLOW.name, 231_890, "Figma allows no more calls.")
    answer = rates.acquire(SLOW, cost=0)
    assert (answer.granted, answer.open_until, answer.reason) == (False, until, "Figma allows no more calls.")
    assert 231_880 < answer.wait_seconds <= 231_890
    assert isinstance(until, datetime)
    assert until - datetime.now(UTC) > timedelta(days=2.6)


def test_a_circuit_is_extended_and_never_shortened(rates: RateLimits) -> None:
    """The later end is kept, with its reason."""
    long = rates.open_circuit(SLOW.name, 1_000, "long")
    assert rates.open_circuit(SLOW.name, 10, "short") == long
    assert rates.acquire(SLOW).reason == "long"
    longer = rates.open_circuit(SLOW.name, 2_000, "longer")
    assert isinstance(longer, datetime)
    assert isinstance(long, datetime)
    assert longer > long
    assert rates.acquire(SLOW).reason == "longer"


def test_a_closed_circuit_grants_the_tokens_in_the_bucket(rates: RateLimits) -> None:
    """Closing adds no tokens."""
    rates.acquire(SLOW)
    rates.open_circuit(SLOW.name, 1_000, "full")
    rates.close_circuit(SLOW.name)
    assert rates.close_circuit("never heard of") == 0
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, False]


def test_a_closed_circuit_makes_the_jobs_due_that_it_snoozed(rates: RateLimits, queue: Queue, owner: Owner) -> None:
    """Those of its family; a job that waits for its start time or for a retry stays as it is."""
    snoozed, retried, other = (add(queue, type, run_in_seconds=90_000) for type in ("figma", "figma", "browser"))
    owner.execute(
        "update public.jobs set error = jsonb_build_object("
        "'class', case when id = %s then 'timeout' else 'snoozed' end)",
        (retried,),
    )
    rates.open_circuit("figma:x:tier1", 1_000, "full")
    assert rates.close_circuit("figma:x:tier1") == 1
    assert [job.id for job in take(queue, families=("figma", "browser"))] == [snoozed]
    assert other in [row.id for row in queue.list_jobs(statuses=["queued"])]


def test_an_expired_circuit_is_closed(rates: RateLimits, owner: Owner) -> None:
    """No call is needed to close it."""
    rates.open_circuit(SLOW.name, 1_000, "full")
    owner.execute("update public.rate_limits set open_until = open_until - interval '1001 seconds'")
    assert rates.open_circuits() == []
    assert rates.acquire(SLOW).granted


def test_open_circuits_are_listed(rates: RateLimits) -> None:
    """Open circuits have their reasons; closed ones are listed on request only."""
    rates.acquire(Rate("alerts:http", 1, 1))
    rates.open_circuit(SLOW.name, 1_000, "full")
    [row] = rates.open_circuits()
    assert (row.document["name"], row.document["reason"]) == (SLOW.name, "full")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"capacity": 0},
        {"capacity": "NaN"},
        {"refill_per_second": 0},
        {"refill_per_second": "Infinity"},
        {"cost": -1},
        {"cost": 3},
        {"cost": None},
    ],
)
def test_a_request_that_can_never_be_granted_is_rejected(transport: Transport, wrong: dict[str, object]) -> None:
    """The message says what is allowed."""
    arguments = {"name": "x", "capacity": 2, "refill_per_second": 1, "cost": 1} | wrong
    with pytest.raises(InvalidArgument, match="must"):
        transport.call("acquire_rate", arguments)


@pytest.mark.parametrize("seconds", [-1, 31_536_001, None])
def test_the_duration_of_an_open_circuit_is_limited(transport: Transport, seconds: float | None) -> None:
    """Negative and missing durations are rejected too."""
    with pytest.raises(InvalidArgument, match="open_seconds"):
        transport.call("open_circuit", {"name": "x", "open_seconds": seconds, "reason": "x"})


def _pass(owner: Owner, seconds: float) -> None:
    owner.execute("update public.rate_limits set refilled_at = refilled_at - make_interval(secs => %s)", (seconds,))
