"""Workers: registration, devices, heartbeats, and wake-ups of idle workers."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, settle

METRICS: Json = {"counters": {"succeeded": 3}, "latency": {"bounds_seconds": [1], "counts": [3, 0], "sum_seconds": 1.5}}


def test_a_registered_worker_is_alive_with_its_device(queue: Queue) -> None:
    """Its row has its families, its machine and its code version."""
    worker = a_worker("box-1", executor_id="mac")
    register(queue, worker, families=["browser", "figma"], concurrency=3)
    [row] = queue.list_workers()
    assert (row.document["worker_id"], row.document["instance_id"], row.document["executor_id"]) == (
        "box-1",
        str(worker.instance_id),
        "mac",
    )
    assert (row.document["families"], row.document["concurrency"], row.document["alive"], row.document["hostname"]) == (
        ["browser", "figma"],
        3,
        True,
        "box",
    )
    assert (row.document["code_version"], row.document["device"]) == ("1.2.3", {"hostname": "box", "cpu_count": 2})


def test_registering_is_idempotent(queue: Queue, owner: Owner) -> None:
    """The same instance has one row, one device and one executor."""
    worker = a_worker(executor_id="mac")
    for _ in range(2):
        register(queue, worker)
    counts = "select (select count(*) from public.workers), (select count(*) from public.worker_devices), count(*)"
    assert owner.execute(f"{counts} from public.executors".encode()).fetchone() == (1, 1, 1)


def test_each_start_of_a_worker_has_its_own_row(queue: Queue) -> None:
    """The label and the device are shared; leases belong to the instance. The newest is first."""
    first, second = a_worker("box"), a_worker("box")
    for worker in (first, second):
        register(queue, worker)
    assert [row.document["instance_id"] for row in queue.list_workers()] == [
        str(second.instance_id),
        str(first.instance_id),
    ]
    assert len(queue.list_workers(max_workers=1)) == 1


def test_a_worker_without_a_label_is_rejected(queue: Queue) -> None:
    """Lists show the label."""
    with pytest.raises(InvalidArgument, match="worker_id must not be empty"):
        register(queue, a_worker(""))


def test_a_heartbeat_records_the_workers_counters(queue: Queue) -> None:
    """Heartbeats are listed newest first, filtered by worker; the worker's running jobs are those of the queue."""
    worker, other = a_worker("box-1"), a_worker("box-2")
    for one in (worker, other):
        register(queue, one)
    assert queue.heartbeat(worker, 2, METRICS) is True
    assert queue.heartbeat(worker, 1, METRICS) is True
    assert queue.heartbeat(other, 0, {}) is True
    mine = queue.list_heartbeats(worker_id="box-1")
    assert [row.document["running"] for row in mine] == [1, 2]
    assert mine[0].document["counters"] == {"succeeded": 3}
    assert [row.document["worker_id"] for row in queue.list_heartbeats()] == ["box-2", "box-1", "box-1"]
    assert len(queue.list_heartbeats(max_heartbeats=2)) == 2
    [listed] = [row for row in queue.list_workers() if row.document["worker_id"] == "box-1"]
    assert (listed.document["running"], listed.document["counters"]) == (0, {"succeeded": 3})


def test_heartbeats_have_increasing_times(queue: Queue) -> None:
    """Each one is later than the previous one, by the database's clock."""
    worker = a_worker()
    register(queue, worker)
    seen = []
    for _ in range(3):
        assert queue.heartbeat(worker, 0, METRICS)
        seen.append(queue.list_workers()[0].document["last_heartbeat_at"])
    assert seen == sorted(set(seen))


def test_a_heartbeat_of_an_unknown_worker_requests_its_registration(queue: Queue) -> None:
    """Nothing is written for it."""
    assert queue.heartbeat(a_worker(), 1, METRICS) is False
    assert queue.list_heartbeats() == []


def test_a_late_heartbeat_changes_no_counter(queue: Queue) -> None:
    """A heartbeat that was sent earlier and arrives later has smaller totals, which are ignored."""
    worker = a_worker()
    register(queue, worker)
    queue.heartbeat(worker, 1, {"counters": {"claimed": 9, "succeeded": 7}})
    assert queue.heartbeat(worker, 1, {"counters": {"claimed": 8, "succeeded": 7}}) is True
    assert [row.document["counters"] for row in queue.list_workers()] == [{"claimed": 9, "succeeded": 7}]
    assert len(queue.list_heartbeats()) == 1
    queue.heartbeat(worker, 1, {"counters": {"claimed": 10, "succeeded": 7}})
    assert [row.document["counters"] for row in queue.list_workers()] == [{"claimed": 10, "succeeded": 7}]


def test_a_heartbeat_after_deregistration_revives_no_worker(queue: Queue) -> None:
    """The heartbeat was sent before the worker deregistered and arrives afterwards."""
    worker = a_worker()
    register(queue, worker)
    queue.stop_worker(worker)
    assert queue.heartbeat(worker, 1, {"counters": {"claimed": 1}}) is True
    [row] = queue.list_workers()
    assert (row.document["alive"], row.document["running"]) == (False, 0)
    assert row.document["stopped_at"] is not None
    assert queue.list_heartbeats() == []


def test_heartbeats_are_kept_for_a_day(queue: Queue, owner: Owner) -> None:
    """The next heartbeat deletes older ones."""
    worker = a_worker()
    register(queue, worker)
    queue.heartbeat(worker, 1, {})
    owner.execute("update public.worker_heartbeats set created_at = now() - interval '25 hours'")
    queue.heartbeat(worker, 2, {})
    assert [row.document["running"] for row in queue.list_heartbeats()] == [2]


def test_a_worker_that_misses_its_heartbeats_is_not_alive(queue: Queue, owner: Owner) -> None:
    """The limit is three times its interval; its next heartbeat makes it alive again."""
    worker = a_worker()
    register(queue, worker)
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '31 seconds'")
    assert [row.document["alive"] for row in queue.list_workers()] == [False]
    assert queue.list_workers(alive_only=True) == []
    queue.heartbeat(worker, 0, {})
    assert [row.document["alive"] for row in queue.list_workers(alive_only=True)] == [True]


def test_a_stopped_worker_is_not_alive(queue: Queue) -> None:
    """Its row is kept for the attempts that reference it."""
    worker = a_worker()
    register(queue, worker)
    queue.stop_worker(worker)
    assert queue.list_workers(alive_only=True) == []
    assert [row.document["stopped_at"] is not None for row in queue.list_workers()] == [True]


@pytest.fixture
def listener(dsn: str) -> Iterator[psycopg.Connection]:
    """Listen as a worker does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("listen cogo_jobs")
        yield connection


def test_no_worker_is_woken_while_all_are_busy(queue: Queue, listener: psycopg.Connection) -> None:
    """A NOTIFY per enqueue would serialize commits."""
    worker = a_worker()
    register(queue, worker)
    add(queue)
    assert _wakings(listener) == 0


def test_an_idle_worker_is_woken_by_an_enqueue(queue: Queue, listener: psycopg.Connection) -> None:
    """It reported at its last claim that it is idle; one batch wakes it once."""
    _claim(queue, _registered(queue), idle=True)
    queue.enqueue([NewJob("browser")] * 3)
    assert _wakings(listener) == 1


def test_a_prepared_enqueue_wakes_no_worker(queue: Queue, listener: psycopg.Connection) -> None:
    """It adds no job."""
    _claim(queue, _registered(queue), idle=True)
    queue.prepare_enqueue()
    assert _wakings(listener) == 0


def test_a_worker_that_claims_again_is_busy(queue: Queue, listener: psycopg.Connection) -> None:
    """A claim without the flag leaves it unchanged."""
    worker = _registered(queue)
    _claim(queue, worker, idle=True)
    _claim(queue, worker, idle=None)
    add(queue)
    assert _wakings(listener) == 1
    _claim(queue, worker, idle=False)
    add(queue)
    assert _wakings(listener) == 0


def test_a_dead_or_stopped_worker_is_not_woken(queue: Queue, owner: Owner, listener: psycopg.Connection) -> None:
    """Otherwise it would slow down every enqueue."""
    stopped, dead = _registered(queue), _registered(queue)
    for worker in (stopped, dead):
        _claim(queue, worker, idle=True)
    queue.stop_worker(stopped)
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 hour'")
    add(queue)
    assert _wakings(listener) == 0


def test_recovered_jobs_wake_an_idle_worker(queue: Queue, age: Age, listener: psycopg.Connection) -> None:
    """They wake a worker as new ones do."""
    job = running_job(queue)
    _claim(queue, _registered(queue), idle=True)
    age(job, 3600)
    queue.recover()
    assert _wakings(listener) == 1
    settle(queue, job)


def _registered(queue: Queue) -> WorkerIdentity:
    worker = a_worker()
    register(queue, worker)
    return worker


def _claim(queue: Queue, worker: WorkerIdentity, *, idle: bool | None) -> None:
    queue.claim(uuid4(), [ClaimRequest("gate", 1)], worker, lease_seconds=60, idle=idle)


def _wakings(listener: psycopg.Connection) -> int:
    # Notifications arrive in order: all earlier ones precede our own.
    mark = uuid4().hex
    listener.execute("select pg_notify('cogo_jobs', %s)", (mark,))
    for before, notice in enumerate(listener.notifies(timeout=10)):
        if notice.payload == mark:
            return before
    raise AssertionError("The test's own notification never arrived.")


def test_families_of_dagster_runs_are_known_for_a_time(queue: Queue, owner: Owner) -> None:
    """Each has the age of its last registration and the number of newer ones; workers without a run do not count."""
    for days, family in enumerate(("browser", "gate", "figma", "browser"), start=1):
        worker = replace(a_worker(), dagster_run_id="a run")
        register(queue, worker, families=[family])
        owner.execute(
            "update public.workers set started_at = started_at - make_interval(days => %s) where instance_id = %s",
            (days, worker.instance_id),
        )
    register(queue, a_worker(), families=["wait"])
    found = queue.registered_families(3.5 * 86_400)
    assert [(row.family, round(row.seconds / 86_400), row.newer) for row in found] == [
        ("browser", 1, 0),
        ("figma", 3, 2),
        ("gate", 2, 1),
    ]
    assert queue.registered_families(60) == []


def test_families_of_an_invalid_period_are_rejected(queue: Queue) -> None:
    """The period is a number of seconds."""
    with pytest.raises(InvalidArgument, match="since_seconds must be"):
        queue.registered_families(-1)
