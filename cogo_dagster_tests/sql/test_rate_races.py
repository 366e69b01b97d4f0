"""Two workers at one rate limit: together they get its tokens, and a circuit that one opens stops the other."""

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.sql.sessions import Session, at_once

ROUNDS = 40
BUCKET = {"name": "figma:0123456789ab:tier1", "refill_per_second": 1e-9}


def test_concurrent_calls_are_granted_no_more_than_the_capacity(first: Session, second: Session) -> None:
    """Two sessions take tokens concurrently from a new rate limit until it is empty."""

    def take(session: Session) -> int:
        return sum(session.call_and_commit("acquire_rate", capacity=ROUNDS, **BUCKET)["granted"] for _ in range(ROUNDS))

    assert sum(at_once(lambda: take(first), lambda: take(second))) == ROUNDS


def test_the_second_call_waits_for_the_first(first: Session, second: Session) -> None:
    """Only one of them gets the last token."""
    assert first.call("acquire_rate", capacity=1, **BUCKET)["granted"]
    waiting = second.call_and_wait("acquire_rate", capacity=1, **BUCKET)
    first.commit()
    assert not waiting.result()["granted"]


def test_a_rollback_returns_the_token(first: Session, second: Session) -> None:
    """The second call gets the token of the first after its rollback."""
    assert first.call("acquire_rate", capacity=1, **BUCKET)["granted"]
    waiting = second.call_and_wait("acquire_rate", capacity=1, **BUCKET)
    first.rollback()
    assert waiting.result()["granted"]


def test_a_circuit_that_opens_during_a_call_rejects_it(first: Session, second: Session) -> None:
    """The call waits for the commit of open_circuit and is not granted."""
    second.call_and_commit("acquire_rate", capacity=2, **BUCKET)
    first.call("open_circuit", name=BUCKET["name"], open_seconds=1_000, reason="Figma said 429.")
    waiting = second.call_and_wait("acquire_rate", capacity=2, **BUCKET)
    first.commit()
    assert waiting.result()["circuit"]["reason"] == "Figma said 429."


def test_the_longer_of_two_concurrent_circuits_stays(first: Session, second: Session, owner: Owner) -> None:
    """The order of the calls does not matter."""
    for _ in range(ROUNDS):
        at_once(
            lambda: first.call_and_commit("open_circuit", name="x", open_seconds=10, reason="short"),
            lambda: second.call_and_commit("open_circuit", name="x", open_seconds=1_000, reason="long"),
        )
        assert owner.execute("delete from public.rate_limits returning reason").fetchall() == [("long",)]
