"""Migration of a COGO database that was in use for a year: it keeps every row, and the queue works on it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import ClaimRequest, Queue
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.migrate import editor_script, migrate, require_current, status
from cogo_dagster.queue.model import Job, NewJob, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, a_worker, documents, register, settle
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.sql.schema import fingerprint

FOLDER = Path(__file__).parent / "older_schemas"
SCHEMAS = ("uuid_ids", "serial_ids", "runbook_files")
TABLES = ("executors", "jobs", "worker_heartbeats", "worker_devices", "artifacts", "jobs_dlq")

JOBS_AFTER = {
    "uuid_ids": {"queued": 2, "running": 2, "succeeded": 1, "failed": 1, "cancelled": 1},
    "serial_ids": {"queued": 2, "running": 1, "succeeded": 1, "failed": 1, "cancelled": 1},
    "runbook_files": {"queued": 2, "running": 1, "succeeded": 1, "failed": 1},
}

EXECUTOR = {"uuid_ids": "11111111-1111-4111-8111-111111111111", "serial_ids": "2", "runbook_files": "mac"}

FILE = {"name": "shot.png", "content_type": "image/png", "size_bytes": 1, "sha256": "a" * 64, "extension": "png"}


@pytest.fixture(params=SCHEMAS)
def older(request: pytest.FixtureRequest) -> str:
    """Return the name of an older schema."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def old_dsn(server: TestServer, older: str) -> Iterator[str]:
    """Yield the DSN of a database with an older schema and rows."""
    with server.clone(_template(server, older)) as dsn:
        yield dsn


@pytest.fixture
def dsn(server: TestServer, older: str) -> Iterator[str]:
    """Yield the DSN of a copy of that database after the migration."""
    server.template(f"adopted_{older}", migrate, based_on=_template(server, older))
    with server.lend(f"adopted_{older}") as dsn:
        yield dsn


def _template(server: TestServer, older: str) -> str:
    server.template(f"older_{older}", lambda dsn: _fill(dsn, older))
    return f"older_{older}"


def _fill(dsn: str, older: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute((FOLDER / f"{older}.sql").read_bytes())


def test_no_row_is_lost(old_dsn: str, owner: Owner) -> None:
    """Every table has the same rows, by their identities, before and after the migration."""
    with psycopg.connect(old_dsn, autocommit=True) as connection:
        before = {table: _identities(connection, table) for table in TABLES}
    assert all(before.values())
    assert {table: _identities(owner, table) for table in TABLES} == before


def test_the_columns_of_the_old_code_are_kept(dsn: str, owner: Owner, older: str) -> None:
    """Other programs may read them."""
    wanted = {"uuid_ids": "url", "serial_ids": "path", "runbook_files": "url"}[older]
    kept = owner.execute(f"select count(*) from public.artifacts where {wanted} is not null".encode()).fetchone()
    assert kept is not None
    assert kept[0] >= 1


def test_old_statuses_are_mapped(queue: Queue, older: str) -> None:
    """Statuses of older schemas, such as waiting, processing or done, become those of this release."""
    assert Counter(row.document["status"] for row in queue.list_jobs()) == JOBS_AFTER[older]


def test_the_queue_works_on_old_rows(queue: Queue, older: str) -> None:
    """Queued jobs keep their payload and executor, keys are unique per type, and workers and files are recorded."""
    worker = a_worker(executor_id=EXECUTOR[older])
    jobs = queue.claim(uuid4(), [ClaimRequest("browser", 10), ClaimRequest("figma", 10)], worker, lease_seconds=60).jobs
    assert {(job.type, job.payload.get("url"), job.executor_id) for job in jobs} == {
        ("browser", "one", None),
        ("figma", None, EXECUTOR[older]),
    }
    assert {settle(queue, job).job_status for job in jobs} == {"succeeded"}

    # In an older schema a key was unique in the table.
    job = _claimed_new_job(queue, NewJob("gate", idempotency_key="key-1"))
    assert job.idempotency_key == "key-1"

    for _ in range(2):  # two attempts may have files of the same name
        job = _claimed_new_job(queue, NewJob("gate"))
        ready, pending = queue.create_artifacts(job, [FILE, {**FILE, "name": "b", "extension": "txt"}])
        queue.finish_artifacts(job, [ready.artifact_id])
        settle(queue, job)
        assert len(queue.list_artifacts(job_id=job.id, status="ready")) == 1
        assert documents(queue.list_abandoned_artifacts(grace_seconds=0)) == [pending.to_json()]
        assert queue.delete_artifacts([pending.artifact_id]) == 1

    worker = a_worker("old-worker", executor_id="new-executor")  # the ID is that of the old schema
    register(queue, worker)
    for _ in range(2):
        assert queue.heartbeat(worker, 1, {"counters": {"ok": 1}})
    assert len([row for row in queue.list_heartbeats(worker_id="old-worker") if row.document["running"] == 1]) == 2
    assert [row.document["device"]["hostname"] for row in queue.list_workers(alive_only=True)] == ["box"]


def test_old_attempts_are_recovered_and_fail_like_new_ones(queue: Queue, older: str) -> None:
    """Old workers hold no valid lease, the count of attempts continues, and dead-lettered jobs are listed in order."""
    old = queue.list_dlq()
    assert len(old) == 1
    assert old[0].document["failed_at"] is not None
    job = _claimed_new_job(queue, NewJob("gate", executor_id="mac"))
    settle(queue, job, Outcome.FAILED, error=PERMANENT)
    assert [row.document["job_id"] for row in queue.list_dlq()] == [str(job.id), old[0].document["job_id"]]

    running = JOBS_AFTER[older]["running"]
    assert queue.recover().requeued == running
    jobs = queue.claim(uuid4(), [ClaimRequest("browser", 10)], a_worker(), lease_seconds=60).jobs
    assert len(jobs) == running + 1
    for job in jobs:
        assert settle(queue, job, Outcome.FAILED, error=BROKEN).status == "ok"
    assert all(row.document["attempts"] >= 1 for row in queue.list_jobs(statuses=["failed"]))


def test_claim_one_job_has_one_form(queue: Queue, transport: Transport, owner: Owner) -> None:
    """Older versions of the function are dropped; the new one returns one job or null."""
    assert owner.execute("select count(*) from pg_proc where proname = 'claim_one_job'").fetchone() == (1,)
    job = transport.call("claim_one_job", {"executor_id": None, "worker_id": "box"})
    assert job["type"] == "browser"
    ended = transport.call("complete_job", {"job_id": job["id"], "lease_token": job["lease_token"]})
    assert ended["status"] == "succeeded"
    assert transport.call("claim_one_job", {"executor_id": None, "worker_id": "box"}) is None


def test_old_errors_are_documents(queue: Queue) -> None:
    """An error that was text becomes the message of a document."""
    [failed] = queue.list_jobs(statuses=["failed"])
    assert failed.document["error"]["message"] in {"It broke.", "x"}


def test_only_the_service_role_has_access(dsn: str, owner: Owner) -> None:
    """Old policies and grants are removed."""
    parts = fingerprint(owner)
    assert {line.split(" | ")[-2] for line in parts if line.startswith("right ")} == {"service_role"}
    assert {line.split(" | ")[2] for line in parts if line.startswith("policy ")} == {"['service_role']"}


def test_the_hot_path_has_its_indexes_and_no_others(dsn: str, owner: Owner) -> None:
    """Old indexes of the same names had other columns, and each further index slows every write."""
    indexes = owner.execute("select indexname, indexdef from pg_indexes where tablename = 'jobs' order by 1").fetchall()
    assert [name for name, _ in indexes] == [
        "jobs_claim_lane",
        "jobs_error_class",
        "jobs_idempotency",
        "jobs_lease",
        "jobs_pkey",
        "jobs_succeeded",
        "jobs_succeeded_url",
        "jobs_unsuccessful_finished",
        "jobs_unsuccessful_listed",
    ]
    definitions: dict[str, str] = dict(indexes)
    assert "(lease_token)" in definitions["jobs_lease"]
    assert "(type, idempotency_key)" in definitions["jobs_idempotency"]


def test_the_editor_script_adopts_it_as_well(old_dsn: str, owner: Owner) -> None:
    """The script and the command produce the same schema; `test_migrate` repeats it over that schema."""
    with psycopg.connect(old_dsn, autocommit=True) as by_script:
        by_script.execute(editor_script().encode())
        assert fingerprint(by_script) == fingerprint(owner)
    require_current(old_dsn)


def test_an_unknown_status_stops_the_migration(server: TestServer) -> None:
    """The error names it, and nothing is changed."""
    with server.clone() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((FOLDER / "runbook_files.sql").read_bytes())
        connection.execute("update public.jobs set status = 'on_hold' where attempts = 0")
        before = _everything(connection)
        with pytest.raises(QueueError, match=r"words this release does not know: on_hold\. Set those rows to queued"):
            migrate(dsn)
        assert _everything(connection) == before
        assert status(dsn).release is None


def test_the_newest_of_two_jobs_keeps_a_shared_key(server: TestServer) -> None:
    """The key of the older job is changed, with a suffix."""
    with server.clone() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((FOLDER / "runbook_files.sql").read_bytes())
        connection.execute("drop index public.jobs_idempotency; update public.jobs set idempotency_key = 'same'")
        connection.execute("update public.jobs set created_at = now() + interval '1 s' where attempts = 0")
        migrate(dsn)
        kept = connection.execute("select id from public.jobs where type = 'browser' and idempotency_key = 'same'")
        assert kept.fetchall() == [(UUID("c0000000-0000-4000-8000-000000000001"),)]


def _claimed_new_job(queue: Queue, job: NewJob) -> Job:
    [added] = queue.enqueue([job])
    [claimed] = queue.claim(uuid4(), [ClaimRequest("gate", 1)], a_worker(executor_id="mac"), lease_seconds=60).jobs
    assert claimed.id == added.job_id
    return claimed


def _identities(connection: Owner, table: str) -> list[str]:
    key = {"worker_heartbeats": "worker_id", "worker_devices": "worker_id"}.get(table, "id")
    rows = connection.execute(f"select {key}::text from public.{table}".encode())
    return sorted(_number(row[0] or "") for row in rows)


def _number(identity: str) -> str:
    # A numeric id becomes the uuid with the number in hexadecimal digits; a superseded id has a suffix.
    digits = identity.replace("-", "")
    return str(int(digits, 16)) if digits.startswith("0" * 24) else identity.partition(":superseded:")[0]


def _everything(connection: Owner) -> list[tuple[Any, ...]]:
    rows = []
    for table in TABLES:
        rows += connection.execute(f"select t::text from public.{table} t order by 1".encode()).fetchall()
    return rows
