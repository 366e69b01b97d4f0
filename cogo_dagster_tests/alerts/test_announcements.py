"""Announcements: sent once per key, and announced once a target has accepted it."""

import threading

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import ONE, TWO, claim, deliver, settle

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])

KEY = "weekly:2026-W41"


def announce(transport: Transport, targets: list[dict[str, str]], title: str = "t", **more: Json) -> Json:
    """Announce a week."""
    given = {"key": KEY, "kind": "weekly", "title": title, "body": {"markdown": title}, "targets": targets}
    return transport.call("announce", {**given, **more})


def settled(transport: Transport) -> Json:
    """Return whether the announcement needs no further attempt."""
    return transport.call("announcement_is_settled", {"key": KEY})


def test_without_a_target_nothing_counts_as_announced(transport: Transport) -> None:
    """Without targets, nothing is stored; a target that is configured later gets the announcement."""
    assert announce(transport, []) == {"alert_id": None, "created": False, "targets": []}
    assert (transport.call("list_alerts", {}), settled(transport)) == ([], None)
    assert announce(transport, ONE)["created"] is True
    assert len(deliver(transport)) == 1
    assert settled(transport) is True


def test_an_announcement_that_no_target_accepted_is_sent_again(transport: Transport) -> None:
    """While a delivery is pending, a repeated announcement changes nothing; after all are dead, it is sent again."""
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


def test_again_sends_to_targets_that_accepted_it(transport: Transport) -> None:
    """With `again`, the announcement is delivered to all targets a second time."""
    announce(transport, ONE)
    assert (len(deliver(transport)), len(deliver(transport))) == (1, 0)
    assert announce(transport, TWO)["created"] is False
    assert announce(transport, TWO, again=True)["created"] is True
    assert [len(deliver(transport, target)) for target in ("slack", "http")] == [1, 1]


def test_concurrent_announcements_are_delivered_once(transport: Transport) -> None:
    """A concurrent call waits for the first one and finds its pending deliveries."""
    answers: list[Json] = []
    threads = [threading.Thread(target=lambda: answers.append(announce(transport, ONE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one["created"] for one in answers) == [False, False, False, True]
    assert len(deliver(transport)) == 1
