"""Purge and cleanup: only rows that ended long enough ago are deleted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogo_dagster.queue.bulk import Operation, perform, perform_items, preview
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import BROKEN, dead_letters, look, running_job, settle

PURGE = Operation("purge_jobs", {"older_than_days": 0})
STATES = ("queued", "waiting", "running", "expired", "succeeded", "failed", "cancelled")
ENDED = ("succeeded", "failed", "cancelled")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.sampled_from(STATES), st.integers(0, 60)), min_size=1, max_size=12),
    days=st.integers(0, 60),
    statuses=st.sets(st.sampled_from(ENDED), min_size=1),
)
def test_only_old_jobs_with_the_given_statuses_are_deleted(
    queue: Queue, owner: Owner, rows: list[tuple[str, int]], days: int, statuses: set[str]
) -> None:
    """Live jobs, younger jobs and jobs with other statuses are kept."""
    owner.execute("delete from public.jobs")
    ids = {_a_row(owner, state, age_days): (state, age_days) for state, age_days in rows}
    doomed = {id for id, (state, age_days) in ids.items() if state in statuses and age_days >= days}
    operation = Operation("purge_jobs", {"older_than_days": days, "statuses": sorted(statuses)})
    assert {UUID(item["id"]) for item in preview(queue, operation).items} == doomed
    assert perform(queue, operation, "me").changed == len(doomed)
    assert {id for (id,) in owner.execute("select id from public.jobs").fetchall()} == ids.keys() - doomed


def test_a_purge_deletes_attempts_and_keeps_the_dead_lettered_job(queue: Queue, owner: Owner) -> None:
    """A row of the DLQ does not need its job."""
    job = running_job(queue, max_attempts=1)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    owner.execute(
        "insert into public.job_attempts (job_id, lease_token, attempt, outcome, finished_at)"
        " values (%s, gen_random_uuid(), 1, 'lost', now())",
        (job.id,),
    )
    perform(queue, Operation("purge_jobs", {"older_than_days": 0, "statuses": ["failed"]}), "me")
    assert queue.get_jobs([job.id]) == []
    assert owner.execute("select count(*) from public.job_attempts").fetchone() == (0,)
    assert [row["job_id"] for row in dead_letters(queue)] == [str(job.id)]


def test_failed_jobs_are_kept_by_default(queue: Queue) -> None:
    """The default statuses are succeeded and cancelled."""
    failed = failed_job(queue)
    settle(queue, running_job(queue))
    assert perform(queue, PURGE, "me").changed == 1
    assert look(queue, failed)["status"] == "failed"


def test_a_purge_is_a_dry_run_by_default(queue: Queue, transport: Transport) -> None:
    """Without arguments it deletes nothing."""
    settle(queue, running_job(queue))
    answer = transport.call("purge_jobs", {"older_than_days": 0})
    assert (answer["matched"], answer["changed"]) == (1, 0)
    assert len(queue.list_jobs()) == 1


def test_a_planned_job_that_was_retried_is_kept(queue: Queue) -> None:
    """The job was retried since the plan was made."""
    job_id = failed_job(queue)
    purge_failed = Operation("purge_jobs", {"older_than_days": 0, "statuses": ["failed"]})
    plan = preview(queue, purge_failed).items
    perform(queue, Operation("retry_failed"), "me")
    done = perform_items(queue, purge_failed, plan, "me")
    assert (done.changed, done.skipped) == (0, 1)
    assert look(queue, job_id)["status"] == "queued"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statuses": ["queued"]}, "Only finished jobs can be purged"),
        ({"statuses": ["succeeded", "running"]}, "Only finished jobs can be purged"),
        ({"statuses": []}, "Only finished jobs can be purged"),
        ({"statuses": None}, "Only finished jobs can be purged"),
        ({"older_than_days": -1}, "older_than_days must be"),
        ({"older_than_days": None}, "older_than_days must be"),
    ],
)
def test_a_purge_of_live_jobs_is_rejected(transport: Transport, arguments: Json, message: str) -> None:
    """The call fails with a message, and nothing is deleted."""
    with pytest.raises(InvalidArgument, match=message):
        transport.call("purge_jobs", {"dry_run": False} | arguments)


@pytest.mark.parametrize(("delete_objects", "status"), [(True, "orphaned"), (False, "expired")])
def test_an_old_artifact_is_left_to_the_sweeper_or_only_marked(
    queue: Queue, owner: Owner, delete_objects: bool, status: str
) -> None:
    """A row for the sweeper becomes `orphaned`; an `expired` one keeps its file."""
    old, young = _an_artifact(owner, 31), _an_artifact(owner, 29)
    operation = Operation("cleanup_artifacts", {"delete_objects": delete_objects})
    assert [item["id"] for item in preview(queue, operation).items] == [str(old)]
    assert perform(queue, operation, "me").changed == 1
    found: dict[UUID, str] = dict(owner.execute("select id, status from public.artifacts").fetchall())
    assert found == {old: status, young: "ready"}


def test_an_artifact_with_an_expiry_expires_then(queue: Queue, owner: Owner) -> None:
    """`expires_at` overrides the general TTL in both directions."""
    early, late = _an_artifact(owner, 1), _an_artifact(owner, 99)
    owner.execute("update public.artifacts set expires_at = now() - interval '1 h' where id = %s", (early,))
    owner.execute("update public.artifacts set expires_at = now() + interval '1 h' where id = %s", (late,))
    assert [item["id"] for item in preview(queue, Operation("cleanup_artifacts")).items] == [str(early)]


def test_artifacts_of_a_running_attempt_are_kept(queue: Queue, owner: Owner) -> None:
    """Their age does not matter."""
    job = running_job(queue)
    artifact = _an_artifact(owner, 99)
    owner.execute(
        "update public.artifacts set job_id = %s, lease_token = %s where id = %s", (job.id, job.lease_token, artifact)
    )
    assert preview(queue, Operation("cleanup_artifacts")).items == []
    settle(queue, job)
    assert len(preview(queue, Operation("cleanup_artifacts")).items) == 1


def _a_row(owner: Owner, state: str, age_days: int) -> UUID:
    id, then = uuid4(), datetime.now(UTC) - timedelta(days=age_days, hours=1)
    running, ended = state in ("running", "expired"), state in ENDED
    status = "running" if running else "queued" if state == "waiting" else state
    lease_end = (datetime.now(UTC) + timedelta(hours=1 if state == "running" else -1)) if running else None
    next_run = then + timedelta(days=365 if state == "waiting" else 0)
    owner.execute(
        "insert into public.jobs (id, type, status, created_at, next_run_at, lease_token, lease_expires_at,"
        " finished_at) values (%s, 'browser', %s, %s, %s, %s, %s, %s)",
        (id, status, then, next_run, uuid4() if running else None, lease_end, then if ended else None),
    )
    return id


def _an_artifact(owner: Owner, age_days: int) -> UUID:
    id = uuid4()
    owner.execute(
        "insert into public.artifacts (id, status, created_at, name, storage_key)"
        " values (%s, 'ready', %s, 'page.png', %s)",
        (id, datetime.now(UTC) - timedelta(days=age_days), f"jobs/{id}.png"),
    )
    return id
