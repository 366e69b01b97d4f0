"""Eight workers on one queue, with concurrent renewals and recoveries: there is no deadlock."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker import EventKind
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import TestServer
from cogo_dagster_tests.worker.bench import Bench, Running, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor

WORKERS: Final = 8
JOBS: Final = 1_000

LEASE_SECONDS: Final = 300
"""Longer than the test: a lease expires only when the test says so."""

Caller = Callable[[Owner], None]
"""Makes one call."""


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """Yield a new database: the server counts the deadlocks of a lent one for all of its users."""
    with server.clone("migrated") as dsn:
        yield dsn


@pytest.fixture
def quick_deadlock_dsn(dsn: str, owner: Owner) -> str:
    """Yield a database with a `deadlock_timeout` of 50 ms instead of a second."""
    database = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))
    owner.execute(sql.SQL("alter database {} set deadlock_timeout = '50ms'").format(database))
    return dsn


@pytest.fixture
def runs() -> Counter[UUID]:
    """Count the executions of each job."""
    return Counter()


@pytest.fixture
def workers(quick_deadlock_dsn: str, tmp_path: Path, runs: Counter[UUID]) -> Iterator[list[Running]]:
    """Return eight workers that are not started, each with its own connections; half of them prefetch."""

    async def execute(job: Job, workspace: Workspace) -> ExecutionResult:
        runs[job.id] += 1
        return ExecutionResult()

    queues = [
        Queue(PostgresTransport(quick_deadlock_dsn, role="service_role", max_connections=4)) for _ in range(WORKERS)
    ]
    yield [
        Bench(queue, FolderStore(tmp_path)).worker(
            FakeExecutor(execute, prefetch=20 * (number % 2)),
            identity=WorkerIdentity(f"worker-{number}", uuid4()),
            concurrency=10,
            lease_seconds=LEASE_SECONDS,
            poll_seconds=0.05,
            recover_seconds=0.02,
            heartbeat_seconds=0.2,
        )
        for number, queue in enumerate(queues)
    ]
    for queue in queues:
        queue.close()


def test_every_job_runs_once_without_deadlocks(
    queue: Queue, quick_deadlock_dsn: str, owner: Owner, workers: list[Running], runs: Counter[UUID]
) -> None:
    """While all leases are renewed in any order and recovery finds nothing, 1,000 jobs take 1,000 attempts."""
    jobs = enqueue(queue)
    with concurrently(quick_deadlock_dsn, renew_some, renew_some, recover, recover):
        work_off(queue, workers)
    assert deadlocks(owner) == 0
    assert runs == Counter(jobs)
    assert sum(worker.report().counters["succeeded"] for worker in workers) == JOBS
    assert owner.execute("select status, attempts, count(*) from public.jobs group by 1, 2").fetchall() == [
        ("succeeded", 1, JOBS)
    ]
    assert owner.execute("select count(*) from public.job_attempts").fetchone() == (0,)
    assert [event.message for worker in workers for event in worker.events_of(EventKind.WARNING)] == []


def test_leases_lost_under_load_are_recovered_without_deadlocks(
    queue: Queue, quick_deadlock_dsn: str, owner: Owner, workers: list[Running], runs: Counter[UUID]
) -> None:
    """Leases expire at random while jobs run: every job has one end, each attempt one, and no call fails."""
    jobs = enqueue(queue)
    with concurrently(quick_deadlock_dsn, renew_some, expire_some, recover, recover):
        work_off(queue, workers)
    assert deadlocks(owner) == 0
    assert set(runs) == set(jobs)
    assert owner.execute("select status, count(*) from public.jobs group by 1").fetchall() == [("succeeded", JOBS)]
    lost = owner.execute("select count(*) from public.job_attempts where outcome = 'lost'").fetchone()
    spent = owner.execute("select sum(attempts - 1) from public.jobs").fetchone()
    assert lost == spent != (0,)
    assert [event.message for worker in workers for event in worker.events_of(EventKind.WARNING)] == []


def test_a_deadlock_is_detected(quick_deadlock_dsn: str, owner: Owner, queue: Queue) -> None:
    """Two sessions that lock two jobs in opposite orders are counted."""
    one, other = enqueue(queue, 2)
    with (
        psycopg.connect(quick_deadlock_dsn) as first,
        psycopg.connect(quick_deadlock_dsn) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        lock(first, one)
        lock(second, other)
        crosswise = [threads.submit(lock, first, other), threads.submit(lock, second, one)]
        assert {type(waited.exception()) for waited in crosswise} == {type(None), psycopg.errors.DeadlockDetected}
        first.rollback()
        second.rollback()
    eventually(lambda: deadlocks(owner) == 1, "the deadlock was counted")


def lock(session: Owner, job: UUID) -> None:
    """Lock a job; roll back if that causes a deadlock."""
    try:
        session.execute("select from public.jobs where id = %s for update", (job,))
    except psycopg.Error:
        session.rollback()
        raise


def enqueue(queue: Queue, jobs: int = JOBS) -> list[UUID]:
    """Add jobs with many attempts."""
    return [enqueued.job_id for enqueued in queue.enqueue([NewJob("browser", max_attempts=100)] * jobs)]


def work_off(queue: Queue, workers: list[Running]) -> None:
    """Run the workers until no job is left."""
    for worker in workers:
        worker.start()
    try:
        eventually(lambda: _is_done(queue), "all jobs were done", seconds=90)
    finally:
        for worker in workers:
            worker.worker.request_stop()
    for worker in workers:
        worker.report()


def _is_done(queue: Queue) -> bool:
    numbers = queue.stats()
    return {numbers.document["ready"], numbers.document["waiting"], numbers.document["running"]} == {0}


def renew_some(session: Owner) -> None:
    """Renew leases in random order."""
    held = session.execute("select id::text, lease_token::text from public.jobs where status = 'running'").fetchall()
    random.shuffle(held)
    leases = Jsonb([{"job_id": job_id, "lease_token": token} for job_id, token in held])
    session.execute("select public.renew_leases(%s, %s)", (leases, LEASE_SECONDS))


def recover(session: Owner) -> None:
    """Recover expired leases."""
    session.execute("select public.recover_leases(100)")


def expire_some(session: Owner) -> None:
    """Expire some leases of jobs that are not locked."""
    session.execute(
        "update public.jobs set lease_expires_at = now() - interval '1 s' where id in"
        " (select id from public.jobs where status = 'running' order by random() limit 3 for update skip locked)"
    )
    time.sleep(0.01)


@contextmanager
def concurrently(dsn: str, *callers: Caller) -> Iterator[None]:
    """Run each of them in a loop and a thread inside the context."""
    over = Event()

    def repeat(caller: Caller) -> None:
        with psycopg.connect(dsn, autocommit=True) as session:
            while not over.is_set():
                caller(session)

    with ThreadPoolExecutor(len(callers)) as threads:
        running = [threads.submit(repeat, caller) for caller in callers]
        try:
            yield
        finally:
            over.set()
    for one in running:
        one.result()


def deadlocks(owner: Owner) -> int:
    """Return the number of deadlocks that the server has detected in this database."""
    row = owner.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])
