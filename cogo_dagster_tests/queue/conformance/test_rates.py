"""Rate limits: a bucket and a circuit by name, the same for everybody who asks."""

from datetime import UTC, datetime, timedelta

import pytest

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.rates import Rate, RateLimits
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner

SLOW = Rate("alerts:slack", capacity=2, refill_per_second=0.001)


@pytest.fixture
def rates(transport: Transport) -> RateLimits:
    """Return the rate limits of the test's database."""
    return RateLimits(transport)


def test_a_full_bucket_grants_its_capacity_and_then_says_how_long_to_wait(rates: RateLimits) -> None:
    """Two at once, the third in a thousand seconds."""
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, True]
    third = rates.acquire(SLOW)
    assert not third.granted
    assert third.open_until is None
    assert 999 < third.wait_seconds <= 1_000


def test_a_refusal_takes_nothing(rates: RateLimits) -> None:
    """Asking again and again does not put the grant off."""
    rates.acquire(SLOW, cost=1.5)
    for _ in range(5):
        assert not rates.acquire(SLOW).granted
    assert rates.acquire(SLOW, cost=0.5).granted


def test_tokens_come_back_with_time_up_to_the_capacity(rates: RateLimits, owner: Owner) -> None:
    """One thousand seconds give one, and a year gives two."""
    rates.acquire(SLOW, cost=2)
    _pass(owner, 1_000)
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, False]
    _pass(owner, 31_536_000)
    assert [rates.acquire(SLOW).granted for _ in range(3)] == [True, True, False]


def test_a_clock_that_was_set_back_takes_no_tokens_away(rates: RateLimits, owner: Owner) -> None:
    """The bucket was last filled in what is now the future."""
    rates.acquire(SLOW)
    _pass(owner, -3_600)
    assert rates.acquire(SLOW).granted


def test_names_have_buckets_of_their_own(rates: RateLimits) -> None:
    """One that is empty leaves the others full."""
    rates.acquire(SLOW, cost=2)
    assert rates.acquire(Rate("alerts:http", 2, 0.001)).granted


def test_an_open_circuit_grants_nothing_and_says_why(rates: RateLimits) -> None:
    """However full the bucket, and however cheap the call."""
    until = rates.open_circuit(SLOW.name, 231_890, "Figma allows no more calls.")
    answer = rates.acquire(SLOW, cost=0)
    assert (answer.granted, answer.open_until, answer.reason) == (False, until, "Figma allows no more calls.")
    assert 231_880 < answer.wait_seconds <= 231_890
    assert isinstance(until, datetime)
    assert until - datetime.now(UTC) > timedelta(days=2.6)


def test_a_circuit_is_made_longer_and_never_shorter(rates: RateLimits) -> None:
    """The later end stands, with its own reason."""
    long = rates.open_circuit(SLOW.name, 1_000, "long")
    assert rates.open_circuit(SLOW.name, 10, "short") == long
    assert rates.acquire(SLOW).reason == "long"
    longer = rates.open_circuit(SLOW.name, 2_000, "longer")
    assert isinstance(longer, datetime)
    assert isinstance(long, datetime)
    assert longer > long
    assert rates.acquire(SLOW).reason == "longer"


def test_a_closed_circuit_grants_again_what_the_bucket_holds(rates: RateLimits) -> None:
    """Closing gives no tokens away."""
    rates.acquire(SLOW)
    rates.open_circuit(SLOW.name, 1_000, "full")
    rates.close_circuit(SLOW.name)
    rates.close_circuit("never heard of")
    assert [rates.acquire(SLOW).granted for _ in range(2)] == [True, False]


def test_a_circuit_whose_time_is_over_is_closed(rates: RateLimits, owner: Owner) -> None:
    """Nobody has to close it."""
    rates.open_circuit(SLOW.name, 1_000, "full")
    owner.execute("update public.rate_limits set open_until = open_until - interval '1001 seconds'")
    assert rates.open_circuits() == []
    assert rates.acquire(SLOW).granted


def test_open_circuits_are_listed(rates: RateLimits) -> None:
    """With their reasons; closed ones only when all are asked for."""
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
def test_a_wish_that_can_never_be_granted_is_refused(transport: Transport, wrong: dict[str, object]) -> None:
    """With a sentence that says what is allowed."""
    arguments = {"name": "x", "capacity": 2, "refill_per_second": 1, "cost": 1} | wrong
    with pytest.raises(InvalidArgument, match="must"):
        transport.call("acquire_rate", arguments)


@pytest.mark.parametrize("seconds", [-1, 31_536_001, None])
def test_a_circuit_is_not_opened_for_ever(transport: Transport, seconds: float | None) -> None:
    """Nor for less than no time."""
    with pytest.raises(InvalidArgument, match="open_seconds"):
        transport.call("open_circuit", {"name": "x", "open_seconds": seconds, "reason": "x"})


def _pass(owner: Owner, seconds: float) -> None:
    owner.execute("update public.rate_limits set refilled_at = refilled_at - make_interval(secs => %s)", (seconds,))
