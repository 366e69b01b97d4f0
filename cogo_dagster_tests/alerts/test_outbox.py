"""What each target is told, and when: one row per alert and target, claimed, sent and settled under a fence."""

from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import (
    ONE,
    TWO,
    alerts,
    claim,
    deliver,
    fail_job,
    let_pass,
    promote,
    settle,
)
from cogo_dagster_tests.conftest import Owner

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])

DOWN = {"class": "http_503", "message": "It answered 503.", "status": 503, "retryable": True}


def rows(transport: Transport, **filters: object) -> list[dict[str, object]]:
    """Return deliveries."""
    found: list[dict[str, object]] = transport.call("list_alert_deliveries", filters)
    return found


def test_each_target_is_told_once_and_then_again_after_the_window(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """What goes on is said as ×N since, not before its time."""
    fail_job(queue)
    promote(transport)
    [first] = deliver(transport)
    assert (first["event"], first["alerts"][0]["new_count"]) == ("firing", 1)
    for _ in range(3):
        fail_job(queue)
    promote(transport)
    assert deliver(transport) == []
    let_pass(owner, 1_900)
    promote(transport)
    [again] = deliver(transport)
    assert (again["event"], again["alerts"][0]["new_count"], again["alerts"][0]["count"]) == ("repeat", 3, 4)
    let_pass(owner, 1_900)
    promote(transport)
    assert deliver(transport) == []


def test_announced_only_after_a_delivery_succeeded(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A failed try opens no window: the message stays due, under the same id."""
    fail_job(queue)
    promote(transport)
    claim_id, first = claim(transport)
    settle(transport, claim_id, "retry", error=DOWN)
    assert rows(transport)[0]["announced_at"] is None
    assert claim(transport)[1] is None
    let_pass(owner, 600)
    claim_id, second = claim(transport)
    assert (second["message_id"], second["attempt"]) == (first["message_id"], 2)
    settle(transport, claim_id)
    assert rows(transport)[0]["announced_at"]


def test_resolved_is_told_only_where_firing_was(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The target that was down hears of the beginning first, then of the end."""
    fail_job(queue)
    promote(transport, TWO)
    assert [message["event"] for message in deliver(transport, "slack")] == ["firing"]
    owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
    let_pass(owner, 120)
    promote(transport, TWO)
    assert [message["event"] for message in deliver(transport, "slack")] == ["resolved"]
    assert [message["event"] for message in deliver(transport, "http")] == ["firing"]
    let_pass(owner, 120)
    promote(transport, TWO)
    assert [message["event"] for message in deliver(transport, "http")] == ["resolved"]
    let_pass(owner, 4_000)
    promote(transport, TWO)
    assert deliver(transport, "slack") + deliver(transport, "http") == []


def test_many_kinds_at_once_are_one_message(transport: Transport, queue: Queue) -> None:
    """Each is named in it, and each counts as told."""
    for number in range(20):
        fail_job(queue, f"kind_{'abcdefghijklmnopqrst'[number]}")
    promote(transport)
    [message] = deliver(transport)
    assert len(message["alerts"]) == 20
    assert {row["status"] for row in rows(transport)} == {"delivered"}


def test_a_trickle_of_kinds_is_gathered(transport: Transport, queue: Queue, owner: Owner) -> None:
    """After five messages in a minute, what is new waits half a minute for company."""
    told = []
    for letter in "abcdefghij":
        fail_job(queue, f"kind_{letter}")
        promote(transport)
        told += deliver(transport)
    assert len(told) == 5
    owner.execute(
        "update public.alert_deliveries set updated_at = updated_at - interval '31 seconds' where status = 'pending'"
    )
    [last] = deliver(transport)
    assert len(last["alerts"]) == 5


def test_a_claim_is_repeatable_and_fenced(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The same id returns the same message; who lost the claim cannot settle it."""
    fail_job(queue)
    promote(transport)
    claim_id, message = claim(transport)
    assert claim(transport, claim_id=claim_id)[1]["message_id"] == message["message_id"]  # type: ignore[arg-type]
    assert claim(transport)[1] is None
    let_pass(owner, 120)
    other, same = claim(transport)
    assert same["message_id"] == message["message_id"]
    assert settle(transport, claim_id)["status"] == "claim_lost"
    assert settle(transport, other) == {"status": "ok", "delivery_status": "delivered", "retry_seconds": None}
    assert settle(transport, other) == {"status": "ok"}
    health = transport.call("alert_target_health", {})["targets"][0]
    assert (health["delivered"], health["consecutive_failures"]) == (1, 0)


def test_an_expired_claim_that_nobody_took_over_still_counts(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The message did arrive; to send it again would tell it twice."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    let_pass(owner, 120)
    assert settle(transport, claim_id)["status"] == "ok"
    assert deliver(transport) == []


def test_retry_after_holds_the_whole_target_and_is_capped(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A receiver that asks for a day gets an hour."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    assert settle(transport, claim_id, "retry", error=DOWN, retry_after_seconds=86_400)["retry_seconds"] == 3_600
    fail_job(queue, "another")
    promote(transport)
    let_pass(owner, 3_500)
    assert claim(transport)[1] is None
    let_pass(owner, 110)
    assert claim(transport)[1] is not None


def test_after_a_day_a_message_is_dead_and_accounted_for(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Tries double their distance up to five minutes."""
    fail_job(queue)
    promote(transport)
    waits = []
    for _ in range(10):
        claim_id, _ = claim(transport)
        waits.append(settle(transport, claim_id, "retry", error=DOWN)["retry_seconds"])
        let_pass(owner, waits[-1] + 1)
    assert 3.75 <= waits[0] <= 6.25
    assert all(225 <= wait <= 375 for wait in waits[7:])
    let_pass(owner, 86_400)
    claim_id, _ = claim(transport)
    assert settle(transport, claim_id, "retry", error=DOWN)["delivery_status"] == "dead"
    assert transport.call("alert_target_health", {})["targets"][0]["dead"] == 1


def test_a_permanent_error_is_dead_at_once_and_can_be_replayed(transport: Transport, queue: Queue) -> None:
    """Under the id it had; the operators' log knows who did it."""
    fail_job(queue)
    promote(transport)
    claim_id, first = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "no_service", "message": "No.", "retryable": False})
    assert claim(transport)[1] is None
    action = {"id": str(uuid4()), "batch": 0, "actor": "me"}
    assert transport.call("replay_alert_deliveries", {"target": "slack", "action": action})["changed"] == 1
    assert transport.call("replay_alert_deliveries", {"target": "slack", "action": action})["changed"] == 1
    [again] = deliver(transport)
    assert again["message_id"] == first["message_id"]
    assert transport.call("list_operations", {"operation": "replay_alert_deliveries"})[0]["actor"] == "me"


def test_a_dead_alert_that_goes_on_is_tried_again(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A target that was mended over the weekend hears of what still fails, without anybody's replay."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "no_service", "message": "No.", "retryable": False})
    let_pass(owner, 1_900)
    fail_job(queue)
    promote(transport)
    assert [message["event"] for message in deliver(transport)] == ["firing"]


def test_gone_disables_the_target_until_its_address_changes(transport: Transport, queue: Queue) -> None:
    """All that waits for it is dead, what comes is dead, and a replay brings everything."""
    fail_job(queue)
    promote(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "gone", error={"class": "http_410", "message": "Gone.", "retryable": False})
    fail_job(queue, "another")
    promote(transport)
    assert {row["status"] for row in rows(transport)} == {"dead"}
    answer = transport.call("claim_alert_message", {"target": "slack", "claim_id": str(uuid4())})
    assert (answer["message"], answer["disabled"]) == (None, True)
    promote(transport, [{"target": "slack", "address_digest": "new"}])
    assert not transport.call("alert_target_health", {})["targets"][0]["disabled"]
    transport.call("replay_alert_deliveries", {})
    assert len(deliver(transport)) == 2


def test_a_silence_holds_until_it_ends(transport: Transport, queue: Queue, owner: Owner) -> None:
    """It is counted meanwhile, and told afterwards if it still stands."""
    fail_job(queue)
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": "brow"}
    transport.call("silence_alerts", {**silence, "duration_seconds": 600, "author": "me", "reason": "maintenance"})
    promote(transport)
    assert deliver(transport) == []
    assert alerts(transport)[0]["silenced"]
    fail_job(queue)
    promote(transport)
    let_pass(owner, 700)
    [message] = deliver(transport)
    assert message["alerts"][0]["count"] == 2
    [row] = transport.call("list_alert_silences", {"active_only": False})
    assert (row["author"], row["active"]) == ("me", False)


def test_what_was_over_before_its_silence_ended_is_not_told(transport: Transport, queue: Queue, owner: Owner) -> None:
    """It is skipped, and the row says so."""
    fail_job(queue)
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": None}
    transport.call("silence_alerts", {**silence, "duration_seconds": 600, "author": "me"})
    promote(transport)
    owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
    promote(transport)
    let_pass(owner, 700)
    assert deliver(transport) == []
    assert rows(transport)[0]["status"] == "skipped"


@pytest.mark.parametrize(
    "wrong",
    [{"kind": None}, {"duration_seconds": 0}, {"duration_seconds": 40 * 86_400}, {"author": ""}],
    ids=["nothing named", "no time", "for ever", "nobody"],
)
def test_a_silence_names_something_ends_and_has_an_author(transport: Transport, wrong: dict[str, object]) -> None:
    """Else it is refused in a sentence."""
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": None}
    with pytest.raises(InvalidArgument):
        transport.call("silence_alerts", {**silence, "duration_seconds": 60, "author": "me", **wrong})


def test_a_database_that_was_down_holds_back_what_it_explains(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The outage is told first; two minutes later what still stands is."""
    promote(transport)
    outage = {"outage_id": str(uuid4()), "host": "box", "started_seconds_ago": 60, "ended_seconds_ago": 0}
    transport.call("record_outage", {**outage, "error_message": "refused", "told": ["slack"]})
    assert transport.call("record_outage", {**outage, "error_message": "refused"})["created"] is False
    fail_job(queue, "lease_expired")
    promote(transport)
    assert [(message["event"], message["alerts"][0]["kind"]) for message in deliver(transport)] == [
        ("resolved", "database_down")
    ]
    assert alerts(transport, kind="job_failed")[0]["inhibited"]
    let_pass(owner, 130)
    assert [message["alerts"][0]["kind"] for message in deliver(transport)] == ["job_failed"]


def test_an_announcement_is_told_once_per_key(transport: Transport) -> None:
    """However often it is announced, and never before what is urgent."""
    said = {"key": "weekly:2026-W47", "kind": "weekly", "title": "Week 47", "body": {"markdown": "fine"}}
    first = transport.call("announce", {**said, "targets": TWO})
    again = transport.call("announce", {**said, "targets": TWO})
    assert (first["created"], again["created"], again["targets"]) == (True, False, ["http", "slack"])
    [message] = deliver(transport)
    assert (message["event"], message["alerts"][0]["body"]) == ("announcement", {"markdown": "fine"})
    promote(transport)
    assert deliver(transport) == []


def test_a_target_that_is_configured_later_is_told_what_still_fires(transport: Transport, queue: Queue) -> None:
    """A process without targets may run the pass: nothing is lost."""
    fail_job(queue)
    promote(transport, [])
    promote(transport, ONE)
    assert len(deliver(transport)) == 1


def test_one_message_that_fails_does_not_hold_the_others(transport: Transport, queue: Queue, owner: Owner) -> None:
    """It takes its turn among them, and waits on its own and ever longer while they pass."""
    fail_job(queue, "poison")
    told, waits = [], []
    for letter in "abcde":
        fail_job(queue, f"fine_{letter}")
        promote(transport)
        let_pass(owner, 400)
        while (claimed := claim(transport))[1]:
            kinds = [one["error_class"] for one in claimed[1]["alerts"]]
            if "poison" in kinds:
                waits.append(settle(transport, claimed[0], "retry", error=DOWN)["retry_seconds"])
            else:
                settle(transport, claimed[0])
                told += kinds
    assert sorted(told) == [f"fine_{letter}" for letter in "abcde"]
    assert len(waits) == 5
    assert waits[-1] > 50
