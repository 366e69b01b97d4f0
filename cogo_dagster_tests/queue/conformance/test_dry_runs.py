"""A dry run writes nothing: not a row of any table, not even a log."""

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add, running_job, settle, take

OPERATIONS: dict[str, Json] = {
    "retry_failed": {},
    "replay_dlq": {},
    "purge_jobs": {"older_than_days": 0, "statuses": ["succeeded", "cancelled", "failed"]},
    "cleanup_artifacts": {"older_than_days": 0},
    "recover_leases": {},
}
ACTION: Json = {"id": "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bb", "batch": 0, "actor": "me"}


@pytest.mark.parametrize("function", OPERATIONS)
def test_a_dry_run_leaves_every_table_as_it_is(
    transport: Transport, queue: Queue, owner: Owner, age: Age, function: str
) -> None:
    """It finds what the real run changes, with and without an action's id."""
    _one_of_each(queue, owner, age)
    before = _every_row(owner)
    for action in (None, ACTION):
        answer = transport.call(function, OPERATIONS[function] | {"dry_run": True, "action": action})
        assert answer["matched"] > 0
    assert _every_row(owner) == before
    assert transport.call(function, OPERATIONS[function] | {"dry_run": False, "action": ACTION})["changed"] > 0
    assert _every_row(owner) != before


def _one_of_each(queue: Queue, owner: Owner, age: Age) -> None:
    failed_job(queue)
    done = running_job(queue)
    file: Json = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    [row] = queue.create_artifacts(done, [file])
    queue.finish_artifacts(done, [row["artifact_id"]])
    settle(queue, done)
    queue.cancel(add(queue))
    settle(queue, running_job(queue), Outcome.REQUEUED)
    [running] = take(queue)
    age(running, 3600)
    owner.execute("update public.artifacts set created_at = created_at - interval '1 hour'")


def _every_row(owner: Owner) -> dict[str, str]:
    tables = owner.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1"
    ).fetchall()
    rows: dict[str, str] = {}
    for (table,) in tables:
        row = "t::text || t.xmin || t.ctid"
        hashed = f"select md5(coalesce(string_agg({row}, '|' order by {row}), '')) from public.{table} t"
        found = owner.execute(hashed.encode()).fetchone()
        assert found is not None
        rows[table] = found[0]
    return rows
