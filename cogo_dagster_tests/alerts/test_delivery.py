"""Delivery from a dead-lettered job to a receiver, with outages of targets and of the database."""

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

HANDLERS = {"slack": slack, "googlechat": google_chat, "http": anything}


@pytest.fixture
def receivers() -> Iterator[dict[str, Receiver]]:
    """Run a receiver per target."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(receiving(handler)) for name, handler in HANDLERS.items()}


def given(receivers: dict[str, Receiver], home: Path, **more: str) -> dict[str, str]:
    """Return the environment with the URLs of the receivers."""
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
    """Return the service with all three targets."""
    return Alerts(transport, settings(**given(receivers, tmp_path)))


def test_all_targets_get_the_alert_without_secrets(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """One pass delivers to all targets; no secret is in a message or row, and no URL in a row."""
    fail_job(queue, message=f"Rejected with password={SECRET} at {receivers['slack'].url(SLACK_PATH)}.")
    report = alerts.deliver()
    assert (report.raised["dead_letters"], report.delivered, report.failed) == (1, 3, 0)
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


def test_messages_do_not_contain_urls_of_targets(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], tmp_path: Path
) -> None:
    """URLs of targets in an error message are redacted, also percent-encoded, in base64 or JSON, or in part."""
    variables = given(receivers, tmp_path)
    addresses = [variables[name] for name in ("SLACK_WEBHOOK_URL", "GOOGLE_CHAT_WEBHOOK_URL", "WEBHOOK_URL")]
    for address in addresses:
        tail = address.split("/", 3)[3]
        forms = (address, quote(address, safe=""), quote(quote(address, safe=""), safe=""), json.dumps([address]), tail)
        for form in (*forms, base64.b64encode(b"GET " + address.encode()).decode(), tail.rpartition("=")[2]):
            fail_job(queue, message=f"Rejected by {form}")
    report = alerts.deliver()
    assert report.delivered
    sent = b"\n".join(request.body for receiver in receivers.values() for request in receiver.accepted).decode()
    sent = unquote(unquote(sent.replace("\\", "")))
    assert "[hidden]" in sent
    assert [canary for canary in ("s3cr3tHook", SLACK_PATH.strip("/"), "s3cr3tChat") if canary in sent] == []
    for address in addresses:
        assert base64.b64encode(address.encode()[8:-8]).decode()[4:-4] not in sent


def test_an_unreadable_alert_does_not_block_others(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """An alert with unreadable times and references is delivered, marked as such, and so are others."""
    fail_job(queue)
    fail_job(queue, "other", "Another one.")
    alerts.evaluate()
    owner.execute("alter table public.alerts drop constraint if exists alerts_dates_known")
    owner.execute(
        "update public.alerts set first_seen_at = '-infinity', last_seen_at = '11026-01-01',"
        " refs = '{\"job_id\": \"x\"}' where error_class = 'timeout'"
    )
    assert alerts.deliver().failed == 0
    for receiver in receivers.values():
        sent = b"".join(request.body for request in receiver.accepted)
        assert b"Another one." in sent
        assert b"unreadable" in sent


def test_an_outage_of_a_target_loses_nothing_and_affects_no_other(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], owner: Owner
) -> None:
    """The message is delivered after the outage, with the same id; the other targets get an alert about it."""
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


def test_the_claim_of_a_killed_deliverer_expires(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], transport: Transport, owner: Owner
) -> None:
    """A message that was claimed and not settled is sent again after the claim expires, with the same id."""
    fail_job(queue)
    alerts.evaluate()
    claimed = transport.call(
        "claim_alert_message", {"target": "http", "claim_id": "00000000-0000-4000-8000-000000000001"}
    )
    alerts.deliver()
    assert receivers["http"].accepted == []
    let_pass(owner, 120)
    alerts.deliver()
    [request] = receivers["http"].accepted
    assert request.json["data"]["message_id"] == claimed["message"]["message_id"]


def test_a_rate_limited_message_is_released(
    alerts: Alerts, queue: Queue, receivers: dict[str, Receiver], transport: Transport
) -> None:
    """Messages over the target's rate limit stay pending without an attempt; other targets are not affected."""
    for name in "abc":
        fail_job(queue, f"kind_{name}")
    transport.call("open_circuit", {"name": "alerts:slack", "open_seconds": 600, "reason": "a test"})
    report = alerts.deliver(max_seconds=30)
    assert len(receivers["http"].accepted) == 3
    assert len(receivers["slack"].requests) == 0
    assert report.failed == 0
    pending = [row for row in alerts.list_deliveries() if row.document["target"] == "slack"]
    assert [(row.document["status"], row.document["attempts"]) for row in pending] == [("pending", 0)] * 3


def test_an_announcement_is_delivered_once_per_target(alerts: Alerts, receivers: dict[str, Receiver]) -> None:
    """A second announcement with the same key is not delivered."""
    weekly = Announcement("weekly:2026-W47", "weekly", "Week 47", "# Fine", facts={"Jobs": "12"})
    assert alerts.announce(weekly).document["created"]
    assert not alerts.announce(weekly).document["created"]
    alerts.deliver()
    alerts.deliver()
    assert [len(receiver.accepted) for receiver in receivers.values()] == [1, 1, 1]
    assert receivers["http"].accepted[0].json["type"] == "announcement.weekly"


def test_a_test_message_resets_the_health_of_a_target(
    alerts: Alerts, receivers: dict[str, Receiver], transport: Transport
) -> None:
    """Test messages go to one target or to all, and a delivered one makes a disabled target healthy."""
    alerts.evaluate()
    gone = {"class": "http_410", "message": "Gone.", "retryable": False}
    transport.call("record_alert_target", {"target": "http", "outcome": "gone", "error": gone})
    receipts = alerts.test()
    assert {receipt.outcome for receipt in receipts.values()} == {DeliveryOutcome.DELIVERED}
    assert receivers["googlechat"].accepted[0].json == {"text": "COGO webhook test"}
    assert all(target["healthy"] for target in alerts.target_health().document["targets"])
    receivers["slack"].down = Reply(404, "no_active_hooks")
    assert alerts.test("slack")["slack"].error_class == "no_active_hooks"


def test_an_outage_of_the_database_is_reported_and_recorded(
    alerts: Alerts, receivers: dict[str, Receiver], transport: Transport, tmp_path: Path, owner: Owner
) -> None:
    """Each target is notified once per outage, by any process; the targets that were notified get the resolution."""
    alerts.evaluate()
    unreachable = DatabaseUnavailable(f"The database cannot be reached (password={SECRET}).")
    assert alerts.outage_watch().database_down(unreachable) == {}
    receivers["slack"].down = Reply(500)
    _start_earlier(tmp_path, 60)
    receipts = alerts.outage_watch().database_down(unreachable)
    assert {name for name, receipt in receipts.items() if receipt.outcome is DeliveryOutcome.DELIVERED} == {
        "googlechat",
        "http",
    }
    receivers["slack"].down = None
    _start_earlier(tmp_path, 60)
    assert list(alerts.outage_watch().database_down(unreachable)) == ["slack"]
    assert alerts.outage_watch().database_down(unreachable) == {}
    body = receivers["http"].accepted[0].json
    assert (body["type"], body["data"]["alerts"][0]["kind"]) == ("alert.firing", "database_down")
    assert SECRET not in str(body)
    alerts.outage_watch().database_up(transport)
    alerts.outage_watch().database_up(transport)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["status"], row.document["resolution"]) == (
        "database_down",
        "resolved",
        "The database responds again.",
    )
    alerts.deliver()
    assert [request.json["type"] for request in receivers["http"].accepted] == ["alert.firing", "alert.resolved"]


def test_a_short_outage_is_not_reported(alerts: Alerts, transport: Transport, receivers: dict[str, Receiver]) -> None:
    """An outage within the grace period is neither sent nor recorded."""
    alerts.outage_watch().database_down(DatabaseUnavailable("The database restarts."))
    alerts.outage_watch().database_up(transport)
    assert alerts.list_alerts() == []
    assert all(receiver.requests == [] for receiver in receivers.values())


def test_the_loop_reports_an_error_once_and_continues(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a pass is reported once and does not propagate."""
    reported: list[str] = []
    loop = alerts.loop(reported.append)
    monkeypatch.setattr(loop, "_deliver", _raise)
    loop.run_once()
    loop.run_once()
    assert reported == ["Alerts are not delivered: no space left"]


@pytest.mark.parametrize(("max_seconds", "starts_until"), [(20, 5), (45, 30), (600, 585), (1, 1), (12, 5)])
def test_a_pass_ends_within_its_limit(max_seconds: float, starts_until: float) -> None:
    """Messages are started early enough for their timeout of 15 s; a short pass starts some, too."""
    assert _sending_seconds(max_seconds) == starts_until


def test_without_targets_a_pass_raises_alerts(transport: Transport, queue: Queue) -> None:
    """Failures are recorded as alerts if no target is configured."""
    without_targets = Alerts(transport, settings())
    fail_job(queue)
    assert without_targets.deliver().raised["dead_letters"] == 1
    assert len(without_targets.list_alerts()) == 1


def _start_earlier(home: Path, seconds: float) -> None:
    """Move the start of the outage into the past, instead of sleeping."""
    file = home / "alerts" / "outage.json"
    outage: dict[str, Any] = json.loads(file.read_text())
    outage["started_at"] -= seconds
    outage["tried_at"] -= seconds
    file.write_text(json.dumps(outage))


def _raise(*_: object) -> None:
    raise OSError("no space left")
