"""What went wrong becomes alerts, each failure once."""

from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import ONE, alerts, deliver, fail_job, let_pass, promote
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, register
from cogo_dagster_tests.test_redaction import HOLDERS, SECRET

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])


def test_dead_letters_of_one_cause_are_one_alert(transport: Transport, queue: Queue) -> None:
    """Numbers, ids and quoted words differ; what is counted is the cause."""
    for number in range(3):
        fail_job(queue, message=f"The page {number} did not load.")
    fail_job(queue, "dns", "No such host.")
    assert promote(transport)["promoted"]["dead_letters"] == 4
    found = {row["error_class"]: row for row in alerts(transport)}
    assert {name: row["count"] for name, row in found.items()} == {"timeout": 3, "dns": 1}
    assert found["timeout"]["title"] == "Jobs of type browser fail: timeout"
    assert found["timeout"]["refs"]["job_id"]


def test_a_letter_is_counted_once_however_often_the_pass_runs(transport: Transport, queue: Queue, owner: Owner) -> None:
    """And again when the same job fails again after a retry."""
    job = fail_job(queue)
    promote(transport)
    assert promote(transport)["promoted"]["dead_letters"] == 0
    owner.execute("update public.jobs_dlq set failed_at = clock_timestamp() where job_id = %s", [job.id])
    assert promote(transport)["promoted"]["dead_letters"] == 1
    assert [row["count"] for row in alerts(transport)] == [2]


def test_letters_that_commit_late_are_not_stepped_over(transport: Transport, queue: Queue, dsn: str) -> None:
    """A row becomes visible after the pass has seen younger ones; a cursor by time would miss it."""
    with psycopg.connect(dsn) as slow:
        slow.execute(
            "insert into public.jobs_dlq (job_id, type, error, failed_at)"
            " values (gen_random_uuid(), 'gate', '{\"class\": \"slow\"}', clock_timestamp())"
        )
        fail_job(queue)
        assert promote(transport)["promoted"]["dead_letters"] == 1
    assert promote(transport)["promoted"]["dead_letters"] == 1


def test_a_cause_is_over_when_its_letters_are_dealt_with(transport: Transport, queue: Queue, owner: Owner) -> None:
    """All retried: resolved, with the reason. While one is open it fires."""
    jobs = [fail_job(queue), fail_job(queue)]
    promote(transport)
    transport.call("retry_failed", {"job_ids": [str(jobs[0].id)], "dry_run": False})
    let_pass(owner, 120)
    promote(transport)
    assert [row["status"] for row in alerts(transport)] == ["firing"]
    transport.call("retry_failed", {"job_ids": [str(jobs[1].id)], "dry_run": False})
    let_pass(owner, 120)
    promote(transport)
    [row] = alerts(transport)
    assert (row["status"], row["resolution"]) == (
        "resolved",
        "All its dead-lettered jobs were retried, replayed or removed.",
    )


def test_nothing_new_for_a_day_is_over_and_says_what_is_left(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The letters still wait."""
    fail_job(queue)
    promote(transport)
    let_pass(owner, 86_500)
    promote(transport)
    assert alerts(transport)[0]["resolution"] == "No new failure for a day; its dead-lettered jobs are still open."


def test_what_fires_again_soon_is_the_same_alert(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Within ten minutes it goes on; later it is a new episode."""
    for after_seconds, episodes in ((60, 1), (700, 2)):
        fail_job(queue)
        promote(transport)
        assert len(alerts(transport)) == episodes
        owner.execute(
            "update public.alerts set status = 'resolved', resolved_at = clock_timestamp() where status = 'firing'"
        )
        let_pass(owner, after_seconds)
        if after_seconds == 60:
            fail_job(queue)
            promote(transport)
            assert len(alerts(transport)) == 1
            owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
            let_pass(owner, 700)


def test_a_silent_worker_is_an_alert_until_it_is_back(transport: Transport, queue: Queue, owner: Owner) -> None:
    """One that signed off is not; and once told of, one start is not told of again."""
    gone, left = a_worker("gone"), a_worker("left")
    register(queue, gone)
    register(queue, left)
    queue.stop_worker(left)
    owner.execute("update public.workers set last_heartbeat_at = clock_timestamp() - interval '5 minutes'")
    _let_the_server_be_old(owner)
    assert promote(transport)["promoted"]["workers"] == 1
    assert promote(transport)["promoted"]["workers"] == 0
    assert [(row["kind"], row["subject"]) for row in alerts(transport)] == [("worker_dead", "gone")]
    register(queue, a_worker("gone"))
    promote(transport)
    assert alerts(transport)[0]["status"] == "resolved"


def test_a_stuck_worker_is_an_alert_at_once(transport: Transport, queue: Queue, owner: Owner) -> None:
    """It said why it ended itself: the alert gives that reason, and does not wait for its silence."""
    register(queue, a_worker("stuck"))
    for row in queue.list_workers():
        transport.call(
            "report_stuck_worker", {"instance_id": row.document["instance_id"], "reason": "Nothing could be claimed."}
        )
    _let_the_server_be_old(owner)
    assert promote(transport)["promoted"]["workers"] == 1
    [alert] = alerts(transport)
    assert (alert["kind"], alert["subject"], alert["title"]) == (
        "worker_dead",
        "stuck",
        "Worker stuck was stuck and ended itself",
    )


def test_a_run_that_failed_is_counted_once_whoever_says_so(transport: Transport) -> None:
    """The hook and the sensor report one run; its success later ends the alert."""
    run = {"run_id": str(uuid4()), "job_name": "replay_dlq", "error_class": "KeyError", "error_message": "'x'"}
    transport.call("record_run_failures", {"failures": [{**run, "op_name": "replay_dead_letters"}]})
    assert transport.call("record_run_failures", {"failures": [run]}) == {"recorded": 0}
    promote(transport)
    [row] = alerts(transport)
    assert (row["title"], row["count"]) == ("The Dagster job replay_dlq fails in replay_dead_letters", 1)
    assert row["refs"]["run_id"] == run["run_id"]
    success = {"job_name": "replay_dlq", "op_name": "another_op", "seconds_ago": 0}
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 0}
    success["op_name"] = "replay_dead_letters"
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 1}


def test_a_success_that_began_before_the_failure_ends_nothing(transport: Transport) -> None:
    """Two runs at once: the one that began earlier says nothing about the later failure."""
    run = {"run_id": str(uuid4()), "job_name": "replay_dlq", "op_name": "op", "error_class": "KeyError"}
    transport.call("record_run_failures", {"failures": [run]})
    promote(transport)
    success = {"job_name": "replay_dlq", "op_name": "op", "seconds_ago": 60}
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 0}


def test_a_schedule_that_missed_its_time_is_an_alert_until_it_ticks(transport: Transport) -> None:
    """Also when nobody watches any more, as when Dagster's daemon is dead."""
    late = {"name": "nightly_gate_snapshot", "due_in_seconds": -1_000}
    fine = {"name": "weekly_enqueue", "due_in_seconds": 1_000}
    transport.call("watch_schedules", {"schedules": [late, fine]})
    promote(transport)
    promote(transport)
    [row] = alerts(transport)
    assert (row["kind"], row["subject"], row["count"]) == ("schedule_missed", "nightly_gate_snapshot", 1)
    transport.call("watch_schedules", {"schedules": [{**late, "due_in_seconds": 86_400}, fine]})
    promote(transport)
    assert alerts(transport)[0]["status"] == "resolved"


def test_a_gate_that_fails_is_an_alert_until_it_passes(transport: Transport) -> None:
    """By type and branch; each run is looked at once."""
    for status, commit in (("fail", "a" * 40), ("fail", "b" * 40)):
        _gate(transport, status, commit)
    _gate(transport, "fail", "c" * 40, branch="feature")
    assert promote(transport)["promoted"]["gate_runs"] == 3
    assert promote(transport)["promoted"]["gate_runs"] == 0
    found = {row["subject"]: row for row in alerts(transport)}
    assert {branch: row["count"] for branch, row in found.items()} == {"main": 2, "feature": 1}
    assert found["main"]["error_message"] == "Commit bbbbbbbbbbbb, 3 lint errors, 1 failed tests."
    _gate(transport, "pass", "d" * 40)
    promote(transport)
    found = {row["subject"]: row for row in alerts(transport)}
    assert (found["main"]["status"], found["main"]["resolution"]) == ("resolved", "Commit dddddddddddd passed.")
    assert found["feature"]["status"] == "firing"


def test_a_provider_that_cannot_be_reached_is_an_alert_until_it_can(transport: Transport) -> None:
    """One alert for all its capabilities; the same probe is not counted twice."""
    down = {"provider": "figma", "capability": "export", "healthy": False, "latency_ms": None, "error": "No answer."}
    for _ in range(2):
        transport.call("record_provider_health", {"results": [down]})
        promote(transport)
        promote(transport)
    [row] = alerts(transport)
    assert (row["title"], row["count"]) == ("Provider figma cannot be reached", 2)
    transport.call("record_provider_health", {"results": [{**down, "healthy": True, "error": None, "latency_ms": 5}]})
    promote(transport)
    assert alerts(transport)[0]["resolution"] == "It responds again."


def test_a_target_that_fails_is_reported_to_the_others(transport: Transport, owner: Owner) -> None:
    """Never to itself; and it is over once a message arrives."""
    both = [*ONE, {"target": "http", "address_digest": "b"}]
    promote(transport, both)
    refused = {"class": "no_active_hooks", "message": "Slack answered no_active_hooks.", "retryable": False}
    transport.call("record_alert_target", {"target": "slack", "outcome": "dead", "error": refused})
    promote(transport, both)
    assert deliver(transport, "slack") == []
    [message] = deliver(transport, "http")
    assert message["alerts"][0]["title"] == "Alerts do not reach slack"
    transport.call("record_alert_target", {"target": "slack", "outcome": "delivered"})
    promote(transport, both)
    assert alerts(transport, kind="target_failing")[0]["status"] == "resolved"


@pytest.mark.parametrize("holder", HOLDERS)
def test_no_secret_gets_into_a_row(transport: Transport, queue: Queue, owner: Owner, holder: str) -> None:
    """Whatever an error holds, the alert's row does not."""
    fail_job(queue, message=f"The call failed: {holder} was refused.")
    owner.execute(
        "update public.jobs_dlq set error = jsonb_set(error, '{message}', to_jsonb(%s::text))", [f"x {holder} y"]
    )
    promote(transport)
    [row] = alerts(transport)
    assert SECRET not in str(row)
    assert "[hidden]" in row["error_message"]


def test_only_one_pass_runs_at_a_time(transport: Transport, owner: Owner) -> None:
    """The others are told that it is busy, and do not wait."""
    with owner.transaction():
        owner.execute("select pg_advisory_xact_lock(hashtextextended('cogo promote_alerts', 0))")
        assert promote(transport)["busy"]
    assert not promote(transport)["busy"]


def test_letters_from_before_alerts_are_no_news(owner: Owner) -> None:
    """The migration marks what it finds."""
    row = owner.execute(
        "select count(*) from public.jobs_dlq where alerted_failed_at is distinct from failed_at"
    ).fetchone()
    assert row == (0,)


def _let_the_server_be_old(owner: Owner) -> None:
    """Within two minutes of its start silence says nothing: replace the clock of this one function's rule."""
    body = owner.execute("select pg_get_functiondef('cogo_internal.raise_worker_alerts()'::regprocedure)").fetchone()
    assert body is not None
    owner.execute(body[0].replace("pg_postmaster_start_time() > at - interval '2 minutes'", "false").encode())


def _gate(transport: Transport, status: str, commit: str, branch: str = "main") -> None:
    run = {"gate_run_id": str(uuid4()), "type": "gate", "status": status, "branch": branch, "commit_sha": commit}
    transport.call("record_gate_run", {"run": {**run, "lint_errors": 3, "tests_failed": 1}})
