"""The outbox: one delivery per alert and target, claimed, sent and settled under a fence."""

import re
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
    evaluate,
    fail_job,
    let_pass,
    settle,
)
from cogo_dagster_tests.alerts.test_references import KINDS
from cogo_dagster_tests.conftest import Owner

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])

DOWN = {"class": "http_503", "message": "It answered 503.", "status": 503, "retryable": True}


def rows(transport: Transport, **filters: object) -> list[dict[str, object]]:
    """Return deliveries."""
    found: list[dict[str, object]] = transport.call("list_alert_deliveries", filters)
    return found


def test_each_target_is_notified_once_and_again_after_the_interval(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """New occurrences are sent as one repeat after the interval, and nothing if there are none."""
    fail_job(queue)
    evaluate(transport)
    [first] = deliver(transport)
    assert (first["event"], first["alerts"][0]["new_count"]) == ("firing", 1)
    for _ in range(3):
        fail_job(queue)
    evaluate(transport)
    assert deliver(transport) == []
    let_pass(owner, 1_900)
    evaluate(transport)
    [again] = deliver(transport)
    assert (again["event"], again["alerts"][0]["new_count"], again["alerts"][0]["count"]) == ("repeat", 3, 4)
    let_pass(owner, 1_900)
    evaluate(transport)
    assert deliver(transport) == []


def test_announced_only_after_a_delivery_succeeded(transport: Transport, queue: Queue, owner: Owner) -> None:
    """After a failed attempt the message stays pending with the same id, and `announced_at` is not set."""
    fail_job(queue)
    evaluate(transport)
    claim_id, first = claim(transport)
    settle(transport, claim_id, "retry", error=DOWN)
    assert rows(transport)[0]["announced_at"] is None
    assert claim(transport)[1] is None
    let_pass(owner, 600)
    claim_id, second = claim(transport)
    assert (second["message_id"], second["attempt"]) == (first["message_id"], 2)
    settle(transport, claim_id)
    assert rows(transport)[0]["announced_at"]


def test_resolved_is_sent_only_after_firing(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A target that has not received `firing` gets it before `resolved`."""
    fail_job(queue)
    evaluate(transport, TWO)
    assert [message["event"] for message in deliver(transport, "slack")] == ["firing"]
    owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
    let_pass(owner, 120)
    evaluate(transport, TWO)
    assert [message["event"] for message in deliver(transport, "slack")] == ["resolved"]
    assert [message["event"] for message in deliver(transport, "http")] == ["firing"]
    let_pass(owner, 120)
    evaluate(transport, TWO)
    assert [message["event"] for message in deliver(transport, "http")] == ["resolved"]
    let_pass(owner, 4_000)
    evaluate(transport, TWO)
    assert deliver(transport, "slack") + deliver(transport, "http") == []


def test_several_alerts_are_one_message(transport: Transport, queue: Queue) -> None:
    """Twenty alerts raised at once are delivered in one message."""
    for number in range(20):
        fail_job(queue, f"kind_{'abcdefghijklmnopqrst'[number]}")
    evaluate(transport)
    [message] = deliver(transport)
    assert len(message["alerts"]) == 20
    assert {row["status"] for row in rows(transport)} == {"delivered"}


def test_new_alerts_are_batched_after_five_messages(transport: Transport, queue: Queue, owner: Owner) -> None:
    """After five messages in a minute, new alerts wait for half a minute and are sent as one message."""
    messages = []
    for name in "abcdefghij":
        fail_job(queue, f"kind_{name}")
        evaluate(transport)
        messages += deliver(transport)
    assert len(messages) == 5
    owner.execute(
        "update public.alert_deliveries set updated_at = updated_at - interval '31 seconds' where status = 'pending'"
    )
    [last] = deliver(transport)
    assert len(last["alerts"]) == 5


def test_a_claim_is_repeatable_and_fenced(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The same claim id returns the same message; a lost claim cannot be settled."""
    fail_job(queue)
    evaluate(transport)
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


def test_an_expired_claim_can_be_settled_until_it_is_taken_over(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """The message was delivered, so that settling late prevents a second delivery."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    let_pass(owner, 120)
    assert settle(transport, claim_id)["status"] == "ok"
    assert deliver(transport) == []


def test_retry_after_delays_the_whole_target_and_is_capped(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A Retry-After of a day is capped at an hour, and other messages to the target wait, too."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    assert settle(transport, claim_id, "retry", error=DOWN, retry_after_seconds=86_400)["retry_seconds"] == 3_600
    fail_job(queue, "another")
    evaluate(transport)
    let_pass(owner, 3_500)
    assert claim(transport)[1] is None
    let_pass(owner, 110)
    assert claim(transport)[1] is not None


def test_a_message_is_dead_after_a_day(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The delay between attempts doubles up to five minutes; after a day the delivery is dead."""
    fail_job(queue)
    evaluate(transport)
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
    """A replay keeps the message id and is recorded in the operations log."""
    fail_job(queue)
    evaluate(transport)
    claim_id, first = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "no_service", "message": "No.", "retryable": False})
    assert claim(transport)[1] is None
    action = {"id": str(uuid4()), "batch": 0, "actor": "me"}
    assert transport.call("replay_alert_deliveries", {"target": "slack", "action": action})["changed"] == 1
    assert transport.call("replay_alert_deliveries", {"target": "slack", "action": action})["changed"] == 1
    [again] = deliver(transport)
    assert again["message_id"] == first["message_id"]
    assert transport.call("list_operations", {"operation": "replay_alert_deliveries"})[0]["actor"] == "me"


def test_a_dead_delivery_is_retried_when_its_alert_occurs_again(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """A target that works again receives an alert that still occurs, without a replay by an operator."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "no_service", "message": "No.", "retryable": False})
    let_pass(owner, 1_900)
    fail_job(queue)
    evaluate(transport)
    assert [message["event"] for message in deliver(transport)] == ["firing"]


def test_gone_disables_the_target_until_its_url_changes(transport: Transport, queue: Queue) -> None:
    """Pending and new deliveries are dead while the target is disabled; a replay delivers all of them."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "gone", error={"class": "http_410", "message": "Gone.", "retryable": False})
    fail_job(queue, "another")
    evaluate(transport)
    assert {row["status"] for row in rows(transport)} == {"dead"}
    answer = transport.call("claim_alert_message", {"target": "slack", "claim_id": str(uuid4())})
    assert (answer["message"], answer["disabled"]) == (None, True)
    evaluate(transport, [{"target": "slack", "address_digest": "new"}])
    assert not transport.call("alert_target_health", {})["targets"][0]["disabled"]
    transport.call("replay_alert_deliveries", {})
    assert len(deliver(transport)) == 2


def test_a_silence_delays_the_replay_of_a_dead_delivery(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A message that was attempted is not sent during a silence of its alert, and is sent afterwards."""
    fail_job(queue)
    evaluate(transport)
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "http_400", "message": "Rejected.", "retryable": False})
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": None}
    transport.call("silence_alerts", {**silence, "duration_seconds": 600, "author": "me"})
    assert transport.call("replay_alert_deliveries", {})["changed"] == 1
    assert deliver(transport) == []
    let_pass(owner, 700)
    assert [message["event"] for message in deliver(transport)] == ["firing"]


def test_a_silence_delays_delivery(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A silenced alert counts occurrences, and is delivered after the silence if it still fires."""
    fail_job(queue)
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": "brow"}
    transport.call("silence_alerts", {**silence, "duration_seconds": 600, "author": "me", "reason": "maintenance"})
    evaluate(transport)
    assert deliver(transport) == []
    assert alerts(transport)[0]["silenced"]
    fail_job(queue)
    evaluate(transport)
    let_pass(owner, 700)
    [message] = deliver(transport)
    assert message["alerts"][0]["count"] == 2
    [row] = transport.call("list_alert_silences", {"active_only": False})
    assert (row["author"], row["active"]) == ("me", False)


def test_an_alert_that_resolves_during_its_silence_is_skipped(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The delivery gets the status `skipped`."""
    fail_job(queue)
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": None}
    transport.call("silence_alerts", {**silence, "duration_seconds": 600, "author": "me"})
    evaluate(transport)
    owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
    evaluate(transport)
    let_pass(owner, 700)
    assert deliver(transport) == []
    assert rows(transport)[0]["status"] == "skipped"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": None},
        {"kind": None, "subject_prefix": ""},
        {"kind": "job_faild"},
        {"kind": None, "fingerprint": "0" * 16},
        {"duration_seconds": 0},
        {"duration_seconds": 40 * 86_400},
        {"author": ""},
    ],
    ids=["no criterion", "empty", "unknown kind", "unknown fingerprint", "no duration", "too long", "no author"],
)
def test_an_invalid_silence_is_rejected(transport: Transport, wrong: dict[str, object]) -> None:
    """A silence needs a criterion that exists, a duration up to 30 days and an author."""
    silence = {"silence_id": str(uuid4()), "fingerprint": None, "kind": "job_failed", "subject_prefix": None}
    with pytest.raises(InvalidArgument):
        transport.call("silence_alerts", {**silence, "duration_seconds": 60, "author": "me", **wrong})


def test_every_documented_kind_exists(transport: Transport) -> None:
    """So does a kind that another release has raised; for another one the message lists those that exist."""
    with pytest.raises(InvalidArgument, match="use one of") as error:
        transport.call("list_alerts", {"kind": "fax_failed"})
    assert {*KINDS, "weekly"} == set(re.findall(r"\w+", str(error.value).partition("use one of")[2]))
    transport.call("announce", {"key": "fax:1", "kind": "fax_failed", "title": "x", "body": {}, "targets": ONE})
    assert len(transport.call("list_alerts", {"kind": "fax_failed"})) == 1


def test_an_outage_delays_the_alerts_that_it_explains(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The outage is delivered first; other alerts that still fire follow two minutes later."""
    evaluate(transport)
    outage = {"outage_id": str(uuid4()), "host": "box", "started_seconds_ago": 60, "ended_seconds_ago": 0}
    transport.call("record_outage", {**outage, "error_message": "refused", "told": ["slack"]})
    assert transport.call("record_outage", {**outage, "error_message": "refused"})["created"] is False
    fail_job(queue, "lease_expired")
    evaluate(transport)
    assert [(message["event"], message["alerts"][0]["kind"]) for message in deliver(transport)] == [
        ("resolved", "database_down")
    ]
    assert alerts(transport, kind="job_failed")[0]["inhibited"]
    let_pass(owner, 130)
    assert [message["alerts"][0]["kind"] for message in deliver(transport)] == ["job_failed"]


def test_an_announcement_is_sent_once_per_key(transport: Transport) -> None:
    """A repeated announcement creates no deliveries."""
    announcement = {"key": "weekly:2026-W47", "kind": "weekly", "title": "Week 47", "body": {"markdown": "fine"}}
    first = transport.call("announce", {**announcement, "targets": TWO})
    again = transport.call("announce", {**announcement, "targets": TWO})
    assert (first["created"], again["created"], again["targets"]) == (True, False, ["http", "slack"])
    [message] = deliver(transport)
    assert (message["event"], message["alerts"][0]["body"]) == ("announcement", {"markdown": "fine"})
    evaluate(transport)
    assert deliver(transport) == []


def test_a_target_that_is_configured_later_gets_firing_alerts(transport: Transport, queue: Queue) -> None:
    """An alert that was raised without targets is delivered once a target is configured."""
    fail_job(queue)
    evaluate(transport, [])
    evaluate(transport, ONE)
    assert len(deliver(transport)) == 1


def test_a_failing_message_does_not_block_others(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The other messages are delivered while the failing one is retried with increasing delays."""
    fail_job(queue, "poison")
    delivered, waits = [], []
    for name in "abcde":
        fail_job(queue, f"fine_{name}")
        evaluate(transport)
        let_pass(owner, 400)
        while (claimed := claim(transport))[1]:
            kinds = [one["error_class"] for one in claimed[1]["alerts"]]
            if "poison" in kinds:
                waits.append(settle(transport, claimed[0], "retry", error=DOWN)["retry_seconds"])
            else:
                settle(transport, claimed[0])
                delivered += kinds
    assert sorted(delivered) == [f"fine_{name}" for name in "abcde"]
    assert len(waits) == 5
    assert waits[-1] > 50
