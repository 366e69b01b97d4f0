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
from cogo_dagster_tests.cli.test_bad_input import assert_rejected


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver that accepts every message."""
    with receiving(anything) as receiver:
        yield receiver


def http_target(receiver: Receiver) -> dict[str, str]:
    """Return the environment of an HTTP target at the receiver."""
    return {"WEBHOOK_TYPE": "http", "WEBHOOK_URL": receiver.url(), "WEBHOOK_ALLOWED_HOSTS": receiver.authority}


def test_a_failure_is_delivered_and_listed(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """A dead-lettered job raises one alert, which is delivered once and listed with its delivery."""
    fail_job(queue)
    done = cogo.ok("alerts", "deliver", **http_target(receiver))
    assert (done["promoted"]["dead_letters"], done["delivered"], done["failed"]) == (1, 1, 0)
    assert cogo.ok("alerts:deliver", **http_target(receiver))["delivered"] == 0
    [row] = cogo.ok("alerts", "list", "--status", "firing")
    assert [one["status"] for one in row["deliveries"]] == ["delivered"]
    assert "http delivered" in cogo.run("alerts", "list").out
    assert cogo.ok("alerts", "health")["targets"][0]["healthy"]


def test_a_failed_delivery_is_reported_and_can_be_replayed(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """A rejected delivery is printed with exit code 1, becomes dead, and is delivered after a replay."""
    fail_job(queue)
    receiver.down = Reply(404)
    answer = cogo.run("alerts", "deliver", **http_target(receiver))
    assert (answer.code, "The receiver rejected the message with 404" in answer.out) == (ExitCode.FAILED, True)
    assert cogo.ok("alerts", "deliveries", "--status", "dead")[0]["error"]["class"] == "http_404"
    receiver.down = None
    assert cogo.ok("alerts", "replay", "http") == {"matched": 1, "changed": 1, "dry_run": False}
    assert cogo.ok("alerts", "deliver", **http_target(receiver))["delivered"] >= 1


def test_google_chat_gets_the_test_message_of_the_runbook(cogo: Terminal) -> None:
    """The test message is the one of the runbook; a rejected one names the variable without its secret."""
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


def test_a_target_that_is_not_configured_is_rejected(cogo: Terminal, receiver: Receiver) -> None:
    """The command prints one message that names the missing variable, and exits with 2."""
    for command, environment in (
        (("alerts", "test", "slack"), http_target(receiver)),
        (("alerts", "test"), {}),
        (("alerts", "test"), {"WEBHOOK_TYPE": "slack"}),
        (("worker", "--drain"), {"WEBHOOK_TYPE": "slack"}),
        (("notify", "weekly"), {}),
        (("notify", "weekly"), http_target(receiver)),
    ):
        answer = cogo.run(*command, **environment)
        assert (answer.code, answer.err.count("\n")) == (ExitCode.BAD_INPUT, 1), answer
        assert "WEBHOOK" in answer.err or "METRICS_BASE" in answer.err


def test_a_silence_is_created_listed_and_ended(cogo: Terminal, queue: Queue, receiver: Receiver) -> None:
    """A silence is listed with its author, and nothing is delivered until it ends."""
    fail_job(queue)
    made = cogo.ok("alerts", "silence", "--kind", "job_failed", "--for", "2h", "--reason", "maintenance")
    assert cogo.ok("alerts", "deliver", **http_target(receiver))["delivered"] == 0
    [row] = cogo.ok("alerts", "silences")
    assert (row["id"], row["reason"], "@" in row["author"]) == (made["silence_id"], "maintenance", True)
    assert cogo.ok("alerts", "unsilence", made["silence_id"])["changed"]
    assert cogo.ok("alerts", "deliver", **http_target(receiver))["delivered"] == 1
    assert cogo.run("alerts", "silence", "--for", "2h").code == ExitCode.BAD_INPUT


def test_a_kind_that_does_not_exist_is_rejected(cogo: Terminal) -> None:
    """The message lists the kinds, and no silence is created."""
    for arguments in (("silence", "--for", "1h"), ("list",)):
        assert_rejected(cogo.run("alerts", *arguments, "--kind", "job_faild"), 2, "use one of job_failed, run_failed")
    assert cogo.ok("alerts", "silences") == []


def test_an_unreachable_database_is_reported_to_the_targets(nowhere: Terminal, receiver: Receiver) -> None:
    """The command exits with the code of an unreachable database, and notifies the target once."""
    for _ in range(2):
        assert nowhere.run("alerts", "deliver", **http_target(receiver)).code == ExitCode.DATABASE
    [request] = receiver.accepted
    assert request.json["data"]["alerts"][0]["kind"] == "database_down"


def test_a_week_is_announced_once_from_either_source(cogo: Terminal, receiver: Receiver) -> None:
    """A week that was announced from the database is not announced again from the API, except with --again."""
    last_week = datetime.now(UTC) - timedelta(days=7)
    week = f"{last_week:%G-W%V}"
    first = cogo.ok("notify:weekly:sb", **http_target(receiver))
    assert (first["key"], first["created"], first["undelivered"]) == (f"weekly:{week}", True, [])
    summary = json.dumps(_summary(cogo, week))
    with receiving(lambda _: Reply(200, summary)) as api:
        again = cogo.ok("notify:weekly", METRICS_BASE=api.url(), **http_target(receiver))
        assert (again["created"], api.requests[0].path) == (False, "/api/metrics/weekly/summary")
        api.down = Reply(503)
        failed = cogo.run("notify", "weekly", METRICS_BASE=api.url(), **http_target(receiver))
    assert (failed.code, "responded with 503" in failed.err) == (ExitCode.DATABASE, True)
    assert len(receiver.accepted) == 1
    running = cogo.run("notify:weekly:sb", "--week", f"{datetime.now(UTC):%G-W%V}", **http_target(receiver))
    assert (running.code, "is not over" in running.err) == (ExitCode.BAD_INPUT, True)
    assert cogo.ok("notify:weekly:sb", "--again", **http_target(receiver))["created"] is True
    assert len(receiver.accepted) == 2


def _summary(cogo: Terminal, week: str) -> object:
    """Return the response of the API for a week."""
    from cogo_dagster.bootstrap import open_application  # noqa: PLC0415
    from cogo_dagster.settings import load_settings  # noqa: PLC0415

    with open_application(load_settings(None, **cogo.environment)) as application:
        return json.loads(application.gates.weekly(week).model_dump_json())
