"""Functions that lock several rows lock them in one order: they do not deadlock with themselves or each other.

Two sessions make calls concurrently, with overlapping batches in opposite orders. In the test of all pairs they roll
back, so that every pair has the same rows. A session detects a deadlock after 50 ms. Pairs that lock no rows of
the same table cannot wait for each other, and are not called.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Final
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Job, JobError, Json, NewJob, Outcome, Settlement
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_gate_runs import a_run
from cogo_dagster_tests.queue.conformance.test_retention import DAYS
from cogo_dagster_tests.queue.conformance.test_secrets import sealed
from cogo_dagster_tests.queue.steps import PERMANENT, a_worker, register, take
from cogo_dagster_tests.sql.sessions import Session, at_once

BATCH: Final = 24
KEY_ID: Final = "0123456789ab"

Call = tuple[str, Mapping[str, Json]]


class Rows:
    """A database with a batch of each kind of row, which all sessions use."""

    def __init__(self, queue: Queue, owner: Owner) -> None:
        self.worker, self.dead = a_worker("shared", "mac"), a_worker("shared")
        for worker in (self.worker, self.dead):
            register(queue, worker)
            queue.heartbeat(worker, 0, {})
        discarded = [str(job.id) for job in _settled(queue, Outcome.FAILED, PERMANENT)]
        discard = Operation("discard_dlq", {"reason": "gone", "job_ids": discarded})
        self.discard_id = perform(queue, discard, "me").action_id
        self.failed = [job.id for job in _settled(queue, Outcome.FAILED, PERMANENT)]
        _settled(queue, Outcome.SUCCEEDED)
        self.lost = _claimed(queue, self.dead)
        [self.uploading, *_] = self.running = _claimed(queue, self.worker)
        made = queue.create_artifacts(self.uploading, files(range(BATCH)))
        self.files = [str(row.artifact_id) for row in made]
        made = queue.create_artifacts(self.lost[0], files(range(BATCH)))
        queue.finish_artifacts(self.lost[0], [str(row.artifact_id) for row in made])
        self.abandoned = [str(row.artifact_id) for row in made]
        self.queued = _enqueued(queue)
        queue.pause("type", "gate", actor="me")
        jobs = [{"id": str(job)} for job in [*self.queued, *(job.id for job in self.running)]]
        self.action, self.planned = new_request_id(), new_request_id()
        queue.plan_action(self.action, "cancel", jobs, actor="me")
        owner.execute(
            "update public.jobs set lease_expires_at = now() - interval '1 h' where id = any(%s)",
            ([job.id for job in self.lost],),
        )
        owner.execute("update public.artifacts set status = 'orphaned' where id = any(%s)", (self.abandoned,))
        owner.execute("update public.worker_heartbeats set created_at = now() - interval '2 days'")
        owner.execute(OLD_ALERT.encode())
        owner.execute(
            "insert into public.secrets (environment, reference, ciphertext, key_id)"
            " select 'dev', 'app:s' || n || ':key', %s, 'older' from generate_series(0, 99) n",
            (sealed("a"),),
        )


OLD_ALERT: Final = f"""
insert into public.alerts (id, fingerprint, kind, subject, status, title, first_seen_at, last_seen_at)
values (gen_random_uuid(), 'x', 'job_failed', 'x', 'resolved', 'x', now() - interval '99 days',
        now() - interval '99 days');
insert into public.alert_targets (target, first_seen_at, last_seen_at, disabled_at)
select 't' || n, now(), now(), now() from generate_series(0, {BATCH - 1}) n;
insert into public.alert_deliveries (alert_id, target, status, event, next_attempt_at)
select a.id, t.target, 'dead', 'firing', now() from public.alerts a, public.alert_targets t where a.fingerprint = 'x'
"""
"""An old alert with dead deliveries to the targets that the calls name; nested loops over 100 would take a second."""


def files(numbers: Sequence[int]) -> list[dict[str, Json]]:
    """Return descriptions of files for create_artifacts."""
    kind = {"content_type": "text/plain", "size_bytes": 1, "extension": "txt"}
    return [{"name": f"{n}.txt", "sha256": f"{n:064x}", **kind} for n in numbers]


def calls(rows: Rows, order: int) -> dict[str, Call]:
    """Return a call of each function, with its batch in order (1) or reversed (-1)."""
    numbers = range(BATCH)[::order]
    keyed = [{"type": "browser", "idempotency_key": f"new-{n}"} for n in numbers]
    replay_keys = [
        {"type": "browser", "idempotency_key": f"dlq:{job_id}", "payload": {}} for job_id in rows.failed[::order]
    ]
    worker = {"instance_id": str(rows.worker.instance_id)}
    bulk = {"dry_run": False, "batch_size": BATCH}
    of_upload = _lease(rows.uploading)
    token = str(rows.running[0].lease_token)
    providers = [{"provider": f"p{n % 3}", "capability": f"c{n}", "healthy": n % 2 == 0} for n in numbers]
    secrets = [
        {"environment": "dev", "reference": f"app:s{n}:key", "version": 1, "ciphertext": sealed("b")} for n in numbers
    ]
    runs = [{"run_id": f"run-{n}", "job_name": "process_jobs", "error_class": "x"} for n in numbers]
    targets = [{"target": f"t{n}", "address_digest": str(order)} for n in numbers]
    return {
        "claim_jobs": ("claim_jobs", _claim(rows.worker)),
        "claim_chosen_jobs": (
            "claim_chosen_jobs",
            {"claim_id": str(uuid4()), "job_ids": _texts(rows.queued[::order]), "worker_id": "shared"},
        ),
        "settle_jobs": ("settle_jobs", {"settlements": [_end(job) for job in (rows.running + rows.lost)[::order]]}),
        "settle_with_artifacts": (
            "settle_with_artifacts",
            {
                "settlements": [
                    {**_end(job), "artifacts": files(numbers[:4])} for job in (rows.running + rows.lost)[::order]
                ]
            },
        ),
        "succeed_jobs": ("succeed_jobs", _successes((rows.running + rows.lost)[::order])),
        "fail_jobs": (
            "settle_jobs",
            {"settlements": [_end(job) | FAILURE for job in (rows.running + rows.lost)[::order]]},
        ),
        "renew_leases": ("renew_leases", {"leases": [_lease(job) for job in (rows.running + rows.lost)[::order]]}),
        "recover_leases": ("recover_leases", {}),
        "requeue_instance": ("requeue_instance", worker),
        "fail_unreadable_jobs": ("fail_unreadable_jobs", {"claim_id": token, "every_one": True}),
        "start_jobs": ("start_jobs", worker | {"job_ids": [str(job.id) for job in rows.running]}),
        "cancel_job": ("cancel_job", {"job_id": str(rows.running[BATCH // 2].id)}),
        "retry_failed": ("retry_failed", bulk),
        "replay_dlq": ("replay_dlq", bulk),
        "discard_dlq": ("discard_dlq", bulk | {"reason": "gone"}),
        "undo_discard": ("undo_discard", bulk | {"discard_id": rows.discard_id}),
        "plan_bulk_action": (
            "plan_bulk_action",
            {
                "action_id": str(rows.planned),
                "operation": "cancel",
                "items": [{"id": str(job_id)} for job_id in rows.queued[::order]],
                "actor": "me",
            },
        ),
        "run_bulk_action": ("run_bulk_action", {"action_id": str(rows.action), "actor": "me"}),
        "purge_jobs": ("purge_jobs", bulk | {"older_than_days": 0, "statuses": ["succeeded", "failed"]}),
        "cleanup_artifacts": ("cleanup_artifacts", bulk | {"older_than_days": 0}),
        "enqueue_jobs": ("enqueue_jobs", {"jobs": keyed}),
        "enqueue_columns": (
            "enqueue_columns",
            {
                "types": [job["type"] for job in keyed],
                "payloads": [{} for _ in keyed],
                "idempotency_keys": [job["idempotency_key"] for job in keyed],
            },
        ),
        "enqueue_keys_of_replays": ("enqueue_jobs", {"jobs": replay_keys}),
        "create_artifacts": ("create_artifacts", of_upload | {"artifacts": files(range(BATCH * 2)[::order])}),
        "finish_artifacts": ("finish_artifacts", of_upload | {"artifact_ids": rows.files[::order]}),
        "delete_artifacts": ("delete_artifacts", {"artifact_ids": (rows.abandoned + rows.files)[::order]}),
        "register_worker": ("register_worker", worker | {"worker_id": "shared", "families": [], "executor_id": "mac"}),
        "record_heartbeat": (
            "record_heartbeat",
            {"instance_id": str((rows.worker if order > 0 else rows.dead).instance_id), "running": 1},
        ),
        "stop_worker": ("stop_worker", worker),
        "pause": ("pause", {"kind": "type", "name": "figma"}),
        "resume": ("resume", {"kind": "type", "name": "gate"}),
        "record_gate_run": ("record_gate_run", {"run": a_run(gate_run_id=str(rows.uploading.id))}),
        "record_provider_health": ("record_provider_health", {"results": providers}),
        "remove_provider": ("remove_provider", {"provider": "p1"}),
        "rotate_secrets": ("rotate_secrets", {"secrets": secrets, "key_id": KEY_ID}),
        "record_run_failures": ("record_run_failures", {"failures": runs}),
        "record_run_successes": ("record_run_successes", {"successes": [{"job_name": "process_jobs"}]}),
        "evaluate_alerts": ("evaluate_alerts", {"targets": targets}),
        "announce": ("announce", {"key": "k", "kind": "weekly", "title": "t", "body": {}, "targets": targets}),
        "claim_alert_message": ("claim_alert_message", {"target": "t1", "claim_id": str(uuid4())}),
        "replay_alert_deliveries": ("replay_alert_deliveries", {}),
        "watch_schedules": (
            "watch_schedules",
            {"schedules": [{"name": f"s{n}", "due_in_seconds": 60} for n in numbers]},
        ),
        "report_conditions": (
            "report_conditions",
            {"scope": "dagster", "conditions": [{"kind": "sensor_failing", "subject": f"s{n}"} for n in numbers]},
        ),
        "claim_deadman_ping": ("claim_deadman_ping", {}),
        "acquire_rate": ("acquire_rate", {"name": "figma:x", "capacity": 9, "refill_per_second": 1}),
        "open_circuit": ("open_circuit", {"name": "figma:x", "open_seconds": 9, "reason": "x"}),
        "rotate_store_marker": ("rotate_store_marker", {"store_id": str(UUID(int=1)), "seen": None}),
        "set_payload_limit": ("set_payload_limit", {"max_bytes": 2_000_000}),
        "roll_up_jobs": ("roll_up_jobs", {"max_seconds": 0}),
        "delete_old_rows": (
            "delete_old_rows",
            {"days": DAYS},
        ),
    }


def calls_of_few_rows(rows: Rows, order: int) -> dict[str, Call]:
    """Return a call of each function that changes one or two rows but locks more."""
    report = {"name": "r", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    silence = {"silence_id": str(uuid4()), "fingerprint": "x", "kind": None, "subject_prefix": None}
    return {
        "create_access_token": (
            "create_access_token",
            {"token_id": str(UUID(int=order % 9)), "name": "ci", "role": "viewer", "token_hash": f"{order % 9:064x}"},
        ),
        "revoke_access_token": ("revoke_access_token", {"name": "ci"}),
        "use_access_token": ("use_access_token", {"token_hash": "a" * 64}),
        "open_web_session": (
            "open_web_session",
            {"session_hash": f"{order % 9:064x}", "holder": "me", "lifetime_seconds": 60, "seal": "a" * 64},
        ),
        "use_web_session": ("use_web_session", {"session_hash": "a" * 64}),
        "end_web_session": ("end_web_session", {"session_hash": "a" * 64}),
        "close_circuit": ("close_circuit", {"name": "figma:x"}),
        "create_report": ("create_report", report),
        "delete_secret": ("delete_secret", {"environment": "dev", "reference": "app:s1:key"}),
        "forget_alert_target": ("forget_alert_target", {"target": f"t{order % 3}", "actor": "me"}),
        "end_alert_silence": ("end_alert_silence", {"silence_id": str(uuid4()), "actor": "me"}),
        "note_operation": ("note_operation", {"note_id": str(rows.files[0]), "operation": "x", "actor": "me"}),
        "record_alert_target": ("record_alert_target", {"target": "t1", "outcome": "retry"}),
        "record_outage": (
            "record_outage",
            {
                "outage_id": str(uuid4()),
                "host": "h",
                "started_seconds_ago": 9,
                "ended_seconds_ago": 1,
                "error_message": "x",
            },
        ),
        "report_stuck_worker": (
            "report_stuck_worker",
            {"instance_id": str(rows.worker.instance_id), "reason": "x"},
        ),
        "set_provider": ("set_provider", {"provider": "p1", "capability": "c1"}),
        "set_secret": (
            "set_secret",
            {"environment": "dev", "reference": "app:s1:key", "ciphertext": sealed("c"), "key_id": KEY_ID},
        ),
        "settle_alert_message": ("settle_alert_message", {"claim_id": str(uuid4()), "outcome": "delivered"}),
        "silence_alerts": ("silence_alerts", silence | {"duration_seconds": 60, "author": "me"}),
        "store_gate_snapshot": ("store_gate_snapshot", {}),
        "store_weekly_summary": ("store_weekly_summary", {}),
    }


LIKE_ANOTHER: Final = {
    "claim_one_job",
    "complete_job",
    "fail_job",
    "finish_report",
    "promote_alerts",
    "requeue_job",
    "snooze_job",
    "stop_bulk_action",
}
"""They call a function that is tested here, or write only one row by its id."""

READS: Final = {"count_jobs", "next_due", "send_wakeup"}
"""They are volatile but lock no row."""

FAILURE: Final[Json] = {"outcome": "failed", "error": {"class": "x", "message": "y"}, "retryable": False}


def test_no_two_functions_deadlock(queue: Queue, owner: Owner, first: Session, second: Session) -> None:
    """Each function is called concurrently with itself and with each other one that locks rows of the same tables."""
    rows = Rows(queue, owner)
    forward, backward = calls(rows, 1), calls(rows, -1)
    locks = {name: first.locks_of(function, **given) for name, (function, given) in forward.items()}
    every = combinations_with_replacement(forward, 2)
    pairs = [(one, other) for one, other in every if one == other or locks[one] & locks[other]]
    assert len(pairs) > 300
    for one, other in pairs:
        (one_function, in_order), (other_function, reverse) = forward[one], backward[other]
        at_once(
            lambda: first.call_and_rollback(one_function, **in_order),  # noqa: B023
            lambda: second.call_and_rollback(other_function, **reverse),  # noqa: B023
        )


def test_functions_of_few_rows_do_not_deadlock_with_those_of_many(
    queue: Queue, owner: Owner, first: Session, second: Session
) -> None:
    """Each is called concurrently with itself and with those that lock rows of the same tables."""
    rows = Rows(queue, owner)
    many = ("evaluate_alerts", "replay_alert_deliveries", "rotate_secrets", "remove_provider", "register_worker")
    few, few_backward, backward = calls_of_few_rows(rows, 1), calls_of_few_rows(rows, -1), calls(rows, -1)
    for one, (one_function, in_order) in few.items():
        for other_function, reverse in [few_backward[one], *(backward[other] for other in many)]:
            at_once(
                lambda: first.call_and_rollback(one_function, **in_order),  # noqa: B023
                lambda: second.call_and_rollback(other_function, **reverse),  # noqa: B023
            )


def test_every_function_that_writes_is_tested(queue: Queue, owner: Owner) -> None:
    """A new function must be added to the calls above."""
    found = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and provolatile = 'v'"
    ).fetchall()
    rows = Rows(queue, owner)
    tested = {function for function, _ in (calls(rows, 1) | calls_of_few_rows(rows, 1)).values()}
    assert {name for (name,) in found if name in FUNCTIONS} == tested | LIKE_ANOTHER | READS


PAIRS: Final = [
    ("enqueue_jobs", "enqueue_jobs"),
    ("replay_dlq", "enqueue_keys_of_replays"),
    ("create_artifacts", "create_artifacts"),
    ("finish_artifacts", "create_artifacts"),
    ("delete_artifacts", "delete_artifacts"),
    ("settle_jobs", "fail_jobs"),
    ("succeed_jobs", "fail_jobs"),
    ("succeed_jobs", "recover_leases"),
    ("enqueue_columns", "enqueue_columns"),
    ("settle_jobs", "recover_leases"),
    ("fail_jobs", "requeue_instance"),
    ("retry_failed", "replay_dlq"),
    ("discard_dlq", "replay_dlq"),
    ("undo_discard", "undo_discard"),
    ("run_bulk_action", "succeed_jobs"),
    ("record_heartbeat", "record_heartbeat"),
    ("record_provider_health", "record_provider_health"),
    ("evaluate_alerts", "replay_alert_deliveries"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_callers_that_commit_do_not_deadlock(
    queue: Queue, owner: Owner, first: Session, second: Session, pair: tuple[str, str]
) -> None:
    """A function that waited for a row checks it again, and no cycle of waits occurs."""
    rows = Rows(queue, owner)
    (one_function, in_order), (other_function, reverse) = calls(rows, 1)[pair[0]], calls(rows, -1)[pair[1]]
    at_once(
        lambda: first.call_and_commit(one_function, **in_order),
        lambda: second.call_and_commit(other_function, **reverse),
    )


def _enqueued(queue: Queue) -> list[UUID]:
    return [job.job_id for job in queue.enqueue([NewJob("browser")] * BATCH)]


def _claimed(queue: Queue, worker: WorkerIdentity | None = None) -> list[Job]:
    _enqueued(queue)
    jobs = take(queue, worker=worker)
    assert len(jobs) == BATCH
    return jobs


def _settled(queue: Queue, outcome: Outcome, error: JobError | None = None) -> list[Job]:
    jobs = _claimed(queue)
    queue.settle([Settlement(job, outcome, error=error) for job in jobs])
    return jobs


def _claim(worker: WorkerIdentity) -> dict[str, Json]:
    families = [{"family": "browser", "max_jobs": BATCH}]
    return {
        "claim_id": str(uuid4()),
        "families": families,
        "worker_id": "shared",
        "instance_id": str(worker.instance_id),
        "idle": True,
    }


def _lease(job: Job) -> dict[str, Json]:
    return {"job_id": str(job.id), "lease_token": str(job.lease_token)}


def _end(job: Job) -> dict[str, Json]:
    return {**_lease(job), "outcome": "succeeded"}


def _successes(jobs: Sequence[Job]) -> dict[str, Json]:
    return {
        "job_ids": [str(job.id) for job in jobs],
        "lease_tokens": [str(job.lease_token) for job in jobs],
        "run_seconds": [0.1] * len(jobs),
    }


def _texts(ids: Sequence[UUID]) -> list[str]:
    return [str(one) for one in ids]
