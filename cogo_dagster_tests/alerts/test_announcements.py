"""Announcements: told once, and an announcement counts when a target accepted it."""

import threading

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import ONE, TWO, claim, deliver, settle

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])

KEY = "weekly:2026-W41"


def announce(transport: Transport, targets: list[dict[str, str]], title: str = "t", **more: Json) -> Json:
    """Announce one week."""
    given = {"key": KEY, "kind": "weekly", "title": title, "body": {"markdown": title}, "targets": targets}
    return transport.call("announce", {**given, **more})


def settled(transport: Transport) -> Json:
    """Ask whether it needs no other attempt."""
    return transport.call("announcement_is_settled", {"key": KEY})


def test_without_a_target_nothing_counts_as_announced(transport: Transport) -> None:
    """A target that is configured later is told."""
    assert announce(transport, []) == {"alert_id": None, "created": False, "targets": []}
    assert (transport.call("list_alerts", {}), settled(transport)) == ([], None)
    assert announce(transport, ONE)["created"] is True
    assert len(deliver(transport)) == 1
    assert settled(transport) is True


def test_what_no_target_accepted_is_announced_again(transport: Transport) -> None:
    """With what is known now; while a target is still to be told nothing changes."""
    announce(transport, ONE, "first")
    assert announce(transport, TWO, "second")["created"] is False
    claim_id, _ = claim(transport)
    settle(transport, claim_id, "dead", error={"class": "http_404", "message": "Gone.", "retryable": False})
    assert settled(transport) is False
    again = announce(transport, TWO, "third")
    assert (again["created"], again["targets"]) == (True, ["http", "slack"])
    [message] = deliver(transport, "http")
    assert message["alerts"][0]["title"] == "third"
    assert announce(transport, TWO)["created"] is False


def test_again_tells_those_too_that_accepted_it(transport: Transport) -> None:
    """Because somebody asked for it."""
    announce(transport, ONE)
    assert (len(deliver(transport)), len(deliver(transport))) == (1, 0)
    assert announce(transport, TWO)["created"] is False
    assert announce(transport, TWO, again=True)["created"] is True
    assert [len(deliver(transport, target)) for target in ("slack", "http")] == [1, 1]


def test_two_who_announce_at_the_same_time_tell_once(transport: Transport) -> None:
    """The second waits for the first and finds the deliveries that are due."""
    answers: list[Json] = []
    threads = [threading.Thread(target=lambda: answers.append(announce(transport, ONE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one["created"] for one in answers) == [False, False, False, True]
    assert len(deliver(transport)) == 1
