"""Two workers at one bucket: together they get what there is, and a circuit opened by one stops the other."""

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.sql.sessions import Session, at_once

ROUNDS = 40
BUCKET = {"name": "figma:0123456789ab:tier1", "refill_per_second": 1e-9}


def test_two_that_ask_at_once_are_granted_no_more_than_there_is(first: Session, second: Session) -> None:
    """Both begin together on a bucket that is not there yet, until it is empty."""

    def ask(session: Session) -> int:
        return sum(session.call_and_commit("acquire_rate", capacity=ROUNDS, **BUCKET)["granted"] for _ in range(ROUNDS))

    assert sum(at_once(lambda: ask(first), lambda: ask(second))) == ROUNDS


def test_the_second_waits_for_the_first_and_sees_what_it_took(first: Session, second: Session) -> None:
    """The last token goes to one of them."""
    assert first.call("acquire_rate", capacity=1, **BUCKET)["granted"]
    asked = second.call_and_wait("acquire_rate", capacity=1, **BUCKET)
    first.commit()
    assert not asked.result()["granted"]


def test_a_token_that_was_rolled_back_is_there_again(first: Session, second: Session) -> None:
    """As if the first had never asked."""
    assert first.call("acquire_rate", capacity=1, **BUCKET)["granted"]
    asked = second.call_and_wait("acquire_rate", capacity=1, **BUCKET)
    first.rollback()
    assert asked.result()["granted"]


def test_a_circuit_that_opens_while_another_asks_stops_it(first: Session, second: Session) -> None:
    """The wish waits for the circuit to be committed, then is refused by it."""
    second.call_and_commit("acquire_rate", capacity=2, **BUCKET)
    first.call("open_circuit", name=BUCKET["name"], open_seconds=1_000, reason="Figma said 429.")
    asked = second.call_and_wait("acquire_rate", capacity=2, **BUCKET)
    first.commit()
    assert asked.result()["circuit"]["reason"] == "Figma said 429."


def test_two_circuits_opened_at_once_leave_the_longer(first: Session, second: Session, owner: Owner) -> None:
    """Whichever comes first."""
    for _ in range(ROUNDS):
        at_once(
            lambda: first.call_and_commit("open_circuit", name="x", open_seconds=10, reason="short"),
            lambda: second.call_and_commit("open_circuit", name="x", open_seconds=1_000, reason="long"),
        )
        assert owner.execute("delete from public.rate_limits returning reason").fetchall() == [("long",)]
