"""The whole way: from a dead letter to a receiver, through outages of targets and of the database."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from cogo_dagster.alerts.delivery import _sending_seconds
from cogo_dagster.alerts.messages import Announcement
from cogo_dagster.alerts.receipt import DeliveryOutcome
from cogo_dagster.alerts.service import Alerts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.messages import settings
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, google_chat, receiving, slack
from cogo_dagster_tests.alerts.steps import fail_job, let_pass
from cogo_dagster_tests.alerts.test_targets import CHAT_PATH, SLACK_PATH
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.test_redaction import SECRET

JUDGES = {"slack": slack, "googlechat": google_chat, "http": anything}


@pytest.fixture
def receivers() -> Iterator[dict[str, Receiver]]:
    """One per target."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(receiving(judge)) for name, judge in JUDGES.items()}


def given(receivers: dict[str, Receiver], home: Path, **more: str) -> dict[str, str]:
    """The environment that leads to them."""
    return {
        "WEBHOOK_TYPE": ",".join(receivers),
        "SLACK_WEBHOOK_URL": receivers["slack"].url(SLACK_PATH),
        "GOOGLE_CHAT_WEBHOOK_URL": receivers["googlechat"].url(CHAT_PATH),
        "WEBHOOK_URL": receivers["http"].url("/hook?token=s3cr3tHookToken"),
        "WEBHOOK_ALLOWED_HOSTS": ",".join(receiver.authority for receiver in receivers.values()),
        "COGO_HOME": str(home),
        **more,
    }


@pytest.fixture
def alerts(transport: Transport, receivers: dict[str, Receiver], tmp_path: Path) -> Alerts:
    """The service with all three."""
    return Alerts(transport, settings(**given(receivers, tmp_path)))


def test_every_target_is_told_and_what_is_told_is_redacted(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """One pass; no secret in any message or row, and no address in any row."""
    fail_job(queue, message=f"Refused with password={SECRET} at {receivers['slack'].url(SLACK_PATH)}.")
    report = alerts.deliver()
    assert (report.promoted["dead_letters"], report.delivered, report.failed) == (1, 3, 0)
    for receiver in receivers.values():
        [request] = receiver.accepted
        assert SECRET.encode() not in request.body
        assert b"s3cr3t" not in request.body
    rows = owner.execute(
        "select to_jsonb(a)::text from public.alerts a"
        " union all select to_jsonb(d)::text from public.alert_deliveries d"
        " union all select to_jsonb(t)::text from public.alert_targets t"
    ).fetchall()
    assert len(rows) == 7
    assert not any(SECRET in row[0] or "s3cr3tChat" in row[0] or "s3cr3tHook" in row[0] for row in rows)


def test_no_target_is_told_the_address_of_another(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], tmp_path: Path
) -> None:
    """Neither as it is nor percent-encoded, in base64 or in a document; its path and its token alone are hidden too."""
    variables = given(receivers, tmp_path)
    addresses = [variables[name] for name in ("SLACK_WEBHOOK_URL", "GOOGLE_CHAT_WEBHOOK_URL", "WEBHOOK_URL")]
    for address in addresses:
        tail = address.split("/", 3)[3]
        forms = (address, quote(address, safe=""), quote(quote(address, safe=""), safe=""), json.dumps([address]), tail)
        for form in (*forms, base64.b64encode(b"GET " + address.encode()).decode(), tail.rpartition("=")[2]):
            fail_job(queue, message=f"Refused by {form}")
    report = alerts.deliver()
    assert report.delivered
    told = b"\n".join(request.body for receiver in receivers.values() for request in receiver.accepted).decode()
    told = unquote(unquote(told.replace("\\", "")))
    assert "[hidden]" in told
    assert [canary for canary in ("s3cr3tHook", SLACK_PATH.strip("/"), "s3cr3tChat") if canary in told] == []
    for address in addresses:
        assert base64.b64encode(address.encode()[8:-8]).decode()[4:-4] not in told


def test_one_alert_that_cannot_be_read_holds_no_other(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """Times beyond any, and references that are none: everything is told all the same."""
    fail_job(queue)
    fail_job(queue, "other", "Another one.")
    alerts.promote()
    owner.execute("alter table public.alerts drop constraint if exists alerts_dates_known")
    owner.execute(
        "update public.alerts set first_seen_at = '-infinity', last_seen_at = '11026-01-01',"
        " refs = '{\"job_id\": \"x\"}' where error_class = 'timeout'"
    )
    assert alerts.deliver().failed == 0
    for receiver in receivers.values():
        told = b"".join(request.body for request in receiver.accepted)
        assert b"Another one." in told
        assert b"unreadable" in told


def test_a_target_that_is_down_holds_nobody_else_and_loses_nothing(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """It is told later, under the same id; and its trouble is told to the others."""
    receivers["http"].down = Reply(503)
    fail_job(queue)
    alerts.deliver()
    for _ in range(2):
        let_pass(owner, 400)
        alerts.deliver()
    health = {one["target"]: one for one in alerts.target_health().document["targets"]}
    assert (health["http"]["healthy"], health["slack"]["healthy"]) == (False, True)
    assert health["http"]["failed"] == {"http_503": 3}
    alerts.deliver()
    assert any(b"Alerts do not reach http" in request.body for request in receivers["slack"].accepted)
    receivers["http"].down = None
    let_pass(owner, 400)
    alerts.deliver()
    assert len(receivers["http"].accepted) == 1
    assert len({request.headers["webhook-id"] for request in receivers["http"].requests}) == 1


def test_a_killed_deliverer_leaves_a_claim_that_expires(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], transport: Transport, owner: Owner
) -> None:
    """Killed after the message arrived and before it was written down: sent again, with the id it had."""
    fail_job(queue)
    alerts.promote()
    claimed = transport.call(
        "claim_alert_message", {"target": "http", "claim_id": "00000000-0000-4000-8000-000000000001"}
    )
    alerts.deliver()
    assert receivers["http"].accepted == []
    let_pass(owner, 120)
    alerts.deliver()
    [request] = receivers["http"].accepted
    assert request.json["data"]["message_id"] == claimed["message"]["message_id"]


def test_what_a_rate_does_not_allow_is_put_back(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], transport: Transport
) -> None:
    """The rate is shared by all processes; a message that had no turn was not tried, and the others go on."""
    for letter in "abc":
        fail_job(queue, f"kind_{letter}")
    transport.call("open_circuit", {"name": "alerts:slack", "open_seconds": 600, "reason": "a test"})
    report = alerts.deliver(max_seconds=30)
    assert len(receivers["http"].accepted) == 3
    assert len(receivers["slack"].requests) == 0
    assert report.failed == 0
    pending = [row for row in alerts.list_deliveries() if row.document["target"] == "slack"]
    assert [(row.document["status"], row.document["attempts"]) for row in pending] == [("pending", 0)] * 3


def test_an_announcement_goes_everywhere_once(alerts: Alerts, receivers: dict[str, Receiver]) -> None:
    """Whoever announces it again with the same key."""
    weekly = Announcement("weekly:2026-W47", "weekly", "Week 47", "# Fine", facts={"Jobs": "12"})
    assert alerts.announce(weekly).document["created"]
    assert not alerts.announce(weekly).document["created"]
    alerts.deliver()
    alerts.deliver()
    assert [len(receiver.accepted) for receiver in receivers.values()] == [1, 1, 1]
    assert receivers["http"].accepted[0].json["type"] == "announcement.weekly"


def test_a_test_message_is_sent_at_once_and_mends_the_health(
    alerts: Alerts, receivers: dict[str, Receiver], transport: Transport
) -> None:
    """To one target or to all; Google Chat gets the runbook's text."""
    alerts.promote()
    refused = {"class": "http_410", "message": "Gone.", "retryable": False}
    transport.call("record_alert_target", {"target": "http", "outcome": "gone", "error": refused})
    receipts = alerts.test()
    assert {receipt.outcome for receipt in receipts.values()} == {DeliveryOutcome.DELIVERED}
    assert receivers["googlechat"].accepted[0].json == {"text": "COGO webhook test"}
    assert all(target["healthy"] for target in alerts.target_health().document["targets"])
    receivers["slack"].down = Reply(404, "no_active_hooks")
    assert alerts.test("slack")["slack"].error_class == "no_active_hooks"


def test_a_database_that_is_down_is_told_past_it_and_written_down_afterwards(
    alerts: Alerts, receivers: dict[str, Receiver], transport: Transport, tmp_path: Path, owner: Owner
) -> None:
    """Once per target and outage, also by another process; the end is told to those who heard of the beginning."""
    alerts.promote()
    away = DatabaseUnavailable(f"The database cannot be reached (password={SECRET}).")
    assert alerts.outage_watch().away(away) == {}
    receivers["slack"].down = Reply(500)
    _begin_earlier(tmp_path, 60)
    told = alerts.outage_watch().away(away)
    assert {name for name, receipt in told.items() if receipt.outcome is DeliveryOutcome.DELIVERED} == {
        "googlechat",
        "http",
    }
    receivers["slack"].down = None
    _begin_earlier(tmp_path, 60)
    assert list(alerts.outage_watch().away(away)) == ["slack"]
    assert alerts.outage_watch().away(away) == {}
    body = receivers["http"].accepted[0].json
    assert (body["type"], body["data"]["alerts"][0]["kind"]) == ("alert.firing", "database_down")
    assert SECRET not in str(body)
    alerts.outage_watch().answers(transport)
    alerts.outage_watch().answers(transport)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["status"], row.document["resolution"]) == (
        "database_down",
        "resolved",
        "It responds again.",
    )
    alerts.deliver()
    assert [request.json["type"] for request in receivers["http"].accepted] == ["alert.firing", "alert.resolved"]


def test_a_blip_of_the_database_is_nobodys_news(
    alerts: Alerts, transport: Transport, receivers: dict[str, Receiver]
) -> None:
    """Shorter than the grace: nothing is told and nothing written down."""
    alerts.outage_watch().away(DatabaseUnavailable("It restarts."))
    alerts.outage_watch().answers(transport)
    assert alerts.list_alerts() == []
    assert all(receiver.requests == [] for receiver in receivers.values())


def test_the_loop_says_its_trouble_once_and_goes_on(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a pass raises, the process it lives in does not hear of it but by a sentence."""
    said: list[str] = []
    loop = alerts.loop(said.append)
    monkeypatch.setattr(loop, "_deliver", _raise)
    loop.once()
    loop.once()
    assert said == ["Alerts are not delivered: no room"]


@pytest.mark.parametrize(("max_seconds", "begins_until"), [(20, 5), (45, 30), (600, 585), (1, 1), (12, 5)])
def test_a_pass_ends_in_its_time(max_seconds: float, begins_until: float) -> None:
    """No message is begun so late that its 15 s would end after the pass; a short pass begins some all the same."""
    assert _sending_seconds(max_seconds) == begins_until


def test_without_targets_a_pass_only_promotes(transport: Transport, queue: Queue) -> None:
    """What fails is written down all the same."""
    quiet = Alerts(transport, settings())
    fail_job(queue)
    assert quiet.deliver().promoted["dead_letters"] == 1
    assert len(quiet.list_alerts()) == 1


def _begin_earlier(home: Path, seconds: float) -> None:
    """Make the outage older instead of sleeping."""
    file = home / "alerts" / "outage.json"
    outage: dict[str, Any] = json.loads(file.read_text())
    outage["started_at"] -= seconds
    outage["tried_at"] -= seconds
    file.write_text(json.dumps(outage))


def _raise(*_: object) -> None:
    raise OSError("no room")
