"""`cogo alerts` and `cogo notify`, on a real database and over real HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, google_chat, receiving
from cogo_dagster_tests.alerts.steps import fail_job
from cogo_dagster_tests.alerts.test_targets import CHAT_PATH
from cogo_dagster_tests.cli.terminal import Terminal


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes whatever comes."""
    with receiving(anything) as receiver:
        yield receiver


def http(receiver: Receiver) -> dict[str, str]:
    """The environment that leads to it."""
    return {"WEBHOOK_TYPE": "http", "WEBHOOK_URL": receiver.url(), "WEBHOOK_ALLOWED_HOSTS": receiver.authority}


def test_a_failure_is_delivered_and_listed(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """From the dead letter to the message; then nothing is left to do."""
    fail_job(queue)
    done = cogo.ok("alerts", "deliver", **http(receiver))
    assert (done["promoted"]["dead_letters"], done["delivered"], done["failed"]) == (1, 1, 0)
    assert cogo.ok("alerts:deliver", **http(receiver))["delivered"] == 0
    [row] = cogo.ok("alerts", "list", "--status", "firing")
    assert [one["status"] for one in row["deliveries"]] == ["delivered"]
    assert "http delivered" in cogo.run("alerts", "list").out
    assert cogo.ok("alerts", "health")["targets"][0]["healthy"]


def test_what_did_not_arrive_is_said_and_can_be_replayed(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """Exit code 1, one sentence; after the replay it goes out."""
    fail_job(queue)
    receiver.down = Reply(404)
    answer = cogo.run("alerts", "deliver", **http(receiver))
    assert (answer.code, "The receiver rejected the message with 404" in answer.out) == (ExitCode.FAILED, True)
    assert cogo.ok("alerts", "deliveries", "--status", "dead")[0]["error"]["class"] == "http_404"
    receiver.down = None
    assert cogo.ok("alerts", "replay", "http") == {"matched": 1, "changed": 1, "dry_run": False}
    assert cogo.ok("alerts", "deliver", **http(receiver))["delivered"] >= 1


def test_google_chat_gets_the_runbooks_test(cogo: Terminal) -> None:
    """The text of its curl."""
    with receiving(google_chat) as chat:
        environment = {
            "WEBHOOK_TYPE": "googlechat",
            "GOOGLE_CHAT_WEBHOOK_URL": chat.url(CHAT_PATH),
            "WEBHOOK_ALLOWED_HOSTS": chat.authority,
        }
        [row] = cogo.ok("alerts", "test", "googlechat", **environment)
        assert row == {"target": "googlechat", "delivered": True, "error": None}
        assert chat.accepted[0].json == {"text": "COGO webhook test"}
        chat.down = Reply(403, "{}")
        failed = cogo.run("alerts", "test", **environment)
    assert (failed.code, "GOOGLE_CHAT_WEBHOOK_URL" in failed.out) == (ExitCode.FAILED, True)
    assert "s3cr3t" not in failed.out + failed.err


def test_a_target_that_is_not_set_up_cannot_be_tested(cogo: Terminal, receiver: Receiver) -> None:
    """One sentence that says what to do, and exit code 2."""
    for words, environment in (
        (("alerts", "test", "slack"), http(receiver)),
        (("alerts", "test"), {}),
        (("alerts", "test"), {"WEBHOOK_TYPE": "slack"}),
        (("worker", "--drain"), {"WEBHOOK_TYPE": "slack"}),
        (("notify", "weekly"), {}),
        (("notify", "weekly"), http(receiver)),
    ):
        answer = cogo.run(*words, **environment)
        assert (answer.code, answer.err.count("\n")) == (ExitCode.BAD_INPUT, 1), answer
        assert "WEBHOOK" in answer.err or "METRICS_BASE" in answer.err


def test_a_silence_is_made_listed_and_ended(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """With its author; while it lasts nothing is sent."""
    fail_job(queue)
    made = cogo.ok("alerts", "silence", "--kind", "job_failed", "--for", "2h", "--reason", "maintenance")
    assert cogo.ok("alerts", "deliver", **http(receiver))["delivered"] == 0
    [row] = cogo.ok("alerts", "silences")
    assert (row["id"], row["reason"], "@" in row["author"]) == (made["silence_id"], "maintenance", True)
    assert cogo.ok("alerts", "unsilence", made["silence_id"])["changed"]
    assert cogo.ok("alerts", "deliver", **http(receiver))["delivered"] == 1
    assert cogo.run("alerts", "silence", "--for", "2h").code == ExitCode.BAD_INPUT


def test_a_database_that_is_away_is_told_past_it(nowhere: Terminal, receiver: Receiver) -> None:
    """The command fails with the database's code, and the target has heard of it once."""
    for _ in range(2):
        assert nowhere.run("alerts", "deliver", **http(receiver)).code == ExitCode.DATABASE
    [request] = receiver.accepted
    assert request.json["data"]["alerts"][0]["kind"] == "database_down"


def test_the_week_is_told_once_whichever_the_source(cogo: Terminal, receiver: Receiver) -> None:
    """notify:weekly:sb computes it from the database, notify:weekly asks the API; the same week is told once."""
    last_week = datetime.now(UTC) - timedelta(days=7)
    week = f"{last_week:%G-W%V}"
    first = cogo.ok("notify:weekly:sb", **http(receiver))
    assert (first["key"], first["created"], first["undelivered"]) == (f"weekly:{week}", True, [])
    summary = json.dumps(_summary(cogo, week))
    with receiving(lambda _: Reply(200, summary)) as api:
        again = cogo.ok("notify:weekly", METRICS_BASE=api.url(), **http(receiver))
        assert (again["created"], api.requests[0].path) == (False, "/api/metrics/weekly/summary")
        api.down = Reply(503)
        failed = cogo.run("notify", "weekly", METRICS_BASE=api.url(), **http(receiver))
    assert (failed.code, "responded with 503" in failed.err) == (ExitCode.DATABASE, True)
    assert len(receiver.accepted) == 1
    running = cogo.run("notify:weekly:sb", "--week", f"{datetime.now(UTC):%G-W%V}", **http(receiver))
    assert (running.code, "is not over" in running.err) == (ExitCode.BAD_INPUT, True)
    assert cogo.ok("notify:weekly:sb", "--again", **http(receiver))["created"] is True
    assert len(receiver.accepted) == 2


def _summary(cogo: Terminal, week: str) -> object:
    """What the API would answer for a week: the service's own document."""
    from cogo_dagster.bootstrap import open_application  # noqa: PLC0415
    from cogo_dagster.settings import load_settings  # noqa: PLC0415

    with open_application(load_settings(None, **cogo.environment)) as application:
        return json.loads(application.gates.weekly(week).model_dump_json())
