"""Alerts are raised for failures, each failure once."""

from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import (
    ONE,
    alerts,
    deliver,
    evaluate,
    fail_job,
    firing,
    ignore_the_servers_uptime,
    let_pass,
    raised,
)
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, register
from cogo_dagster_tests.test_redaction import HOLDERS, SECRET

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])


def test_dead_lettered_jobs_of_one_cause_are_one_alert(transport: Transport, queue: Queue) -> None:
    """Error messages that differ in numbers, ids and quoted words only have the same cause."""
    for number in range(3):
        fail_job(queue, message=f"The page {number} did not load.")
    fail_job(queue, "dns", "No such host.")
    assert raised(transport)["dead_letters"] == 4
    found = {row["error_class"]: row for row in alerts(transport)}
    assert {name: row["count"] for name, row in found.items()} == {"timeout": 3, "dns": 1}
    assert found["timeout"]["title"] == "Jobs of type browser fail: timeout"
    assert found["timeout"]["refs"]["job_id"]


def test_a_dead_lettered_job_is_counted_once(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Repeated evaluations count a failure once; a second failure of the job after a retry is counted again."""
    job = fail_job(queue)
    evaluate(transport)
    assert raised(transport)["dead_letters"] == 0
    owner.execute("update public.jobs_dlq set failed_at = clock_timestamp() where job_id = %s", [job.id])
    assert raised(transport)["dead_letters"] == 1
    assert [row["count"] for row in alerts(transport)] == [2]


def test_rows_that_commit_late_are_not_missed(transport: Transport, queue: Queue, dsn: str) -> None:
    """A row that becomes visible after younger ones were evaluated is counted; a cursor by time would miss it."""
    with psycopg.connect(dsn) as slow:
        slow.execute(
            "insert into public.jobs_dlq (job_id, type, error, failed_at)"
            " values (gen_random_uuid(), 'gate', '{\"class\": \"slow\"}', clock_timestamp())"
        )
        fail_job(queue)
        assert raised(transport)["dead_letters"] == 1
    assert raised(transport)["dead_letters"] == 1


def test_an_alert_that_fires_again_within_ten_minutes_is_the_same(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """A failure within ten minutes of the resolution reopens the alert; a later one creates a new alert."""
    for after_seconds, episodes in ((60, 1), (700, 2)):
        fail_job(queue)
        evaluate(transport)
        assert len(alerts(transport)) == episodes
        owner.execute(
            "update public.alerts set status = 'resolved', resolved_at = clock_timestamp() where status = 'firing'"
        )
        let_pass(owner, after_seconds)
        if after_seconds == 60:
            fail_job(queue)
            evaluate(transport)
            assert len(alerts(transport)) == 1
            owner.execute("update public.alerts set status = 'resolved', resolved_at = clock_timestamp()")
            let_pass(owner, 700)


def test_a_silent_worker_is_an_alert_until_it_starts_again(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A worker that stopped regularly raises none, and each start of a worker raises at most one alert."""
    gone, left = a_worker("gone"), a_worker("left")
    register(queue, gone)
    register(queue, left)
    queue.stop_worker(left)
    owner.execute("update public.workers set last_heartbeat_at = clock_timestamp() - interval '5 minutes'")
    ignore_the_servers_uptime(owner)
    assert raised(transport)["workers"] == 1
    assert raised(transport)["workers"] == 0
    assert [(row["kind"], row["subject"]) for row in alerts(transport)] == [("worker_dead", "gone")]
    register(queue, a_worker("gone"))
    evaluate(transport)
    assert alerts(transport)[0]["status"] == "resolved"


def test_two_workers_with_one_name_are_two_workers(transport: Transport, queue: Queue, owner: Owner) -> None:
    """A live worker that was started before the other fell silent does not replace it; one started after it does."""
    ignore_the_servers_uptime(owner)
    dead, twin = a_worker("host"), a_worker("host")
    register(queue, dead)
    register(queue, twin)
    owner.execute("update public.workers set started_at = started_at - interval '1 hour'")
    owner.execute(
        "update public.workers set last_heartbeat_at = last_heartbeat_at - interval '10 min' where instance_id = %s",
        [dead.instance_id],
    )
    assert raised(transport)["workers"] == 1
    assert raised(transport)["workers"] == 0
    [alert] = firing(transport, "worker_dead")
    assert "Another worker with this name is alive" in alert["error_message"]
    register(queue, a_worker("host"))
    raised(transport)
    assert firing(transport, "worker_dead") == []


def silent(owner: Owner, *workers: WorkerIdentity, since: str = "10 min") -> None:
    """Let workers have started an hour ago, and have sent no heartbeat for a time."""
    owner.execute(
        "update public.workers set started_at = now() - interval '1 hour',"
        " last_heartbeat_at = now() - %s::interval where instance_id = any (%s)",
        [since, [worker.instance_id for worker in workers]],
    )


def test_each_of_two_silent_workers_with_one_name_is_counted(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Also the one whose last heartbeat is older than the alert; the alert fires until both were started again."""
    ignore_the_servers_uptime(owner)
    first, second = a_worker("host"), a_worker("host")
    register(queue, first)
    register(queue, second)
    silent(owner, first, second, since="0 s")
    silent(owner, first)
    assert raised(transport)["workers"] == 1
    silent(owner, second, since="9 min")
    assert raised(transport)["workers"] == 1
    [alert] = firing(transport, "worker_dead")
    assert alert["count"] == 2
    register(queue, a_worker("host"))
    raised(transport)
    assert len(firing(transport, "worker_dead")) == 1
    register(queue, a_worker("host"))
    raised(transport)
    assert firing(transport, "worker_dead") == []


def test_a_worker_that_crashes_and_restarts_repeatedly_is_replaced_each_time(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """Each crash is counted, and the last start resolves the alert."""
    ignore_the_servers_uptime(owner)
    for count, since in enumerate(("30 min", "20 min", "10 min"), start=1):
        worker = a_worker("host")
        register(queue, worker)
        raised(transport)
        assert firing(transport, "worker_dead") == []
        owner.execute(
            "update public.workers set started_at = now() - %s::interval - interval '1 min',"
            " last_heartbeat_at = now() - %s::interval where instance_id = %s",
            [since, since, worker.instance_id],
        )
        raised(transport)
        assert [alert["count"] for alert in firing(transport, "worker_dead")] == [count]
    register(queue, a_worker("host"))
    raised(transport)
    assert firing(transport, "worker_dead") == []


def test_a_dagster_run_does_not_replace_a_worker_of_its_name(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The machine of a silent `cogo worker` runs process_jobs, whose worker has the same default name."""
    ignore_the_servers_uptime(owner)
    worker, run = a_worker("host"), a_worker("host")
    register(queue, worker)
    silent(owner, worker)
    register(queue, run)
    owner.execute("update public.workers set dagster_run_id = 'r' where instance_id = %s", [run.instance_id])
    raised(transport)
    assert len(firing(transport, "worker_dead")) == 1


def test_a_stuck_worker_is_an_alert_at_once(transport: Transport, queue: Queue, owner: Owner) -> None:
    """The alert has the reason that the worker reported, and does not wait for missing heartbeats."""
    register(queue, a_worker("stuck"))
    for row in queue.list_workers():
        transport.call(
            "report_stuck_worker", {"instance_id": row.document["instance_id"], "reason": "Nothing could be claimed."}
        )
    ignore_the_servers_uptime(owner)
    assert raised(transport)["workers"] == 1
    [alert] = alerts(transport)
    assert (alert["kind"], alert["subject"], alert["title"]) == (
        "worker_dead",
        "stuck",
        "Worker stuck was stuck and ended itself",
    )


def test_a_failed_run_is_counted_once(transport: Transport) -> None:
    """A run that both hook and sensor report is counted once; a later success of the op resolves the alert."""
    run = {"run_id": str(uuid4()), "job_name": "replay_dlq", "error_class": "KeyError", "error_message": "'x'"}
    transport.call("record_run_failures", {"failures": [{**run, "op_name": "replay_dead_letters"}]})
    assert transport.call("record_run_failures", {"failures": [run]}) == {"recorded": 0}
    evaluate(transport)
    [row] = alerts(transport)
    assert (row["title"], row["count"]) == ("The Dagster job replay_dlq fails in replay_dead_letters", 1)
    assert row["refs"]["run_id"] == run["run_id"]
    success = {"job_name": "replay_dlq", "op_name": "another_op", "seconds_ago": 0}
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 0}
    success["op_name"] = "replay_dead_letters"
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 1}


def test_a_success_of_an_earlier_run_resolves_nothing(transport: Transport) -> None:
    """A run that started before the failure does not resolve its alert."""
    run = {"run_id": str(uuid4()), "job_name": "replay_dlq", "op_name": "op", "error_class": "KeyError"}
    transport.call("record_run_failures", {"failures": [run]})
    evaluate(transport)
    success = {"job_name": "replay_dlq", "op_name": "op", "seconds_ago": 60}
    assert transport.call("record_run_successes", {"successes": [success]}) == {"resolved": 0}


def test_a_missed_schedule_is_an_alert_until_its_next_tick(transport: Transport) -> None:
    """The alert is raised from recorded due times, so that it works while Dagster's daemon is down."""
    late = {"name": "nightly_gate_snapshot", "due_in_seconds": -1_000}
    fine = {"name": "weekly_enqueue", "due_in_seconds": 1_000}
    transport.call("watch_schedules", {"schedules": [late, fine]})
    evaluate(transport)
    evaluate(transport)
    [row] = alerts(transport)
    assert (row["kind"], row["subject"], row["count"]) == ("schedule_missed", "nightly_gate_snapshot", 1)
    transport.call("watch_schedules", {"schedules": [{**late, "due_in_seconds": 86_400}, fine]})
    evaluate(transport)
    assert alerts(transport)[0]["status"] == "resolved"


def test_a_failed_gate_is_an_alert_until_it_passes(transport: Transport) -> None:
    """There is one alert per type and branch, and each gate run is counted once."""
    for status, commit in (("fail", "a" * 40), ("fail", "b" * 40)):
        _gate(transport, status, commit)
    _gate(transport, "fail", "c" * 40, branch="feature")
    assert raised(transport)["gate_runs"] == 3
    assert raised(transport)["gate_runs"] == 0
    found = {row["subject"]: row for row in alerts(transport)}
    assert {branch: row["count"] for branch, row in found.items()} == {"main": 2, "feature": 1}
    assert found["main"]["error_message"] == "Commit bbbbbbbbbbbb, lint errors: 3, failed tests: 1."
    _gate(transport, "pass", "d" * 40)
    evaluate(transport)
    found = {row["subject"]: row for row in alerts(transport)}
    assert (found["main"]["status"], found["main"]["resolution"]) == ("resolved", "Commit dddddddddddd passed.")
    assert found["feature"]["status"] == "firing"


def test_an_unhealthy_provider_is_an_alert_until_it_recovers(transport: Transport) -> None:
    """There is one alert per provider, and each probe is counted once."""
    down = {"provider": "figma", "capability": "export", "healthy": False, "latency_ms": None, "error": "No answer."}
    for _ in range(2):
        transport.call("record_provider_health", {"results": [down]})
        evaluate(transport)
        evaluate(transport)
    [row] = alerts(transport)
    assert (row["title"], row["count"]) == ("Provider figma cannot be reached", 2)
    transport.call("record_provider_health", {"results": [{**down, "healthy": True, "error": None, "latency_ms": 5}]})
    evaluate(transport)
    assert alerts(transport)[0]["resolution"] == "The provider responds again."


def test_a_failing_target_is_reported_to_the_others(transport: Transport, owner: Owner) -> None:
    """The alert is not sent to the failing target, and resolves when a message is delivered."""
    both = [*ONE, {"target": "http", "address_digest": "b"}]
    evaluate(transport, both)
    rejected = {"class": "no_active_hooks", "message": "Slack responded with no_active_hooks.", "retryable": False}
    transport.call("record_alert_target", {"target": "slack", "outcome": "dead", "error": rejected})
    evaluate(transport, both)
    assert deliver(transport, "slack") == []
    [message] = deliver(transport, "http")
    assert message["alerts"][0]["title"] == "Alerts do not reach slack"
    transport.call("record_alert_target", {"target": "slack", "outcome": "delivered"})
    evaluate(transport, both)
    assert alerts(transport, kind="target_failing")[0]["status"] == "resolved"


def test_no_secret_gets_into_a_row(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Secrets in an error are redacted in the alert."""
    for number, holder in enumerate(HOLDERS):
        job = fail_job(queue, f"class_{number}", f"The call failed: {holder} was rejected.")
        owner.execute(
            "update public.jobs_dlq set error = jsonb_set(error, '{message}', to_jsonb(%s::text)) where job_id = %s",
            [f"x {holder} y", job.id],
        )
    evaluate(transport)
    rows = alerts(transport)
    assert len(rows) == len(HOLDERS)
    for row in rows:
        assert SECRET not in str(row)
        assert "[hidden]" in row["error_message"]


def test_one_evaluation_runs_at_a_time(transport: Transport, owner: Owner) -> None:
    """A concurrent call returns `busy` and does not wait."""
    with owner.transaction():
        owner.execute("select pg_advisory_xact_lock(hashtextextended('cogo promote_alerts', 0))")
        assert evaluate(transport)["busy"]
    assert not evaluate(transport)["busy"]


def test_rows_from_before_the_migration_raise_no_alerts(owner: Owner) -> None:
    """The migration marks existing rows as counted."""
    row = owner.execute(
        "select count(*) from public.jobs_dlq where alerted_failed_at is distinct from failed_at"
    ).fetchone()
    assert row == (0,)


def _gate(transport: Transport, status: str, commit: str, branch: str = "main") -> None:
    run = {"gate_run_id": str(uuid4()), "type": "gate", "status": status, "branch": branch, "commit_sha": commit}
    transport.call("record_gate_run", {"run": {**run, "lint_errors": 3, "tests_failed": 1}})
