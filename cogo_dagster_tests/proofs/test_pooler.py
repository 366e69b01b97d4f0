"""Behind a transaction pooler the worker runs jobs, and warns once that it only polls."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.postgres import is_transaction_pooled
from cogo_dagster.queue.worker import EventKind, EventObserver, WorkerEvent, WorkerOptions
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.proofs.pooler import Mode, pooled
from cogo_dagster_tests.worker.executors import FakeExecutor

OPTIONS = WorkerOptions(poll_seconds=0.1, linger_seconds=0)


def test_a_direct_connection_is_distinguished_from_a_pooler(dsn: str) -> None:
    """The backend process that answers is the one announced at login."""
    assert not is_transaction_pooled(dsn)


@pytest.mark.parametrize("round_robin", [False, True])
@pytest.mark.parametrize(("mode", "by_transaction"), [("session", False), ("transaction", True)])
def test_a_session_pooler_is_distinguished_from_a_transaction_pooler(
    dsn: str, mode: Mode, by_transaction: bool, round_robin: bool
) -> None:
    """The result does not depend on which server connection the pooler uses next."""
    with pooled(dsn, mode, round_robin=round_robin) as address:
        assert [is_transaction_pooled(address) for _ in range(3)] == [by_transaction] * 3


@pytest.mark.parametrize(("mode", "warnings"), [("session", 0), ("transaction", 1)])
def test_a_worker_behind_a_pooler_runs_every_job(
    dsn: str, queue: Queue, tmp_path: Path, mode: Mode, warnings: int
) -> None:
    """There is no error, one warning with the remedy if LISTEN cannot work, and none if it can."""
    queue.enqueue([NewJob("browser")] * 200)
    events: list[WorkerEvent] = []
    with pooled(dsn, mode, role="service_role") as address:
        settings = load_settings(COGO_DATABASE_URL=address, COGO_HOME=str(tmp_path))
        with open_application(settings) as app:
            worker = app.worker(observer=EventObserver(events.append), options=OPTIONS, executors=[FakeExecutor()])
            report = asyncio.run(worker.run())
    assert (report.counters["succeeded"], report.ended_because) == (200, "drained")
    assert {(job.document["status"], job.document["attempts"]) for job in queue.list_jobs(max_jobs=500)} == {
        ("succeeded", 1)
    }
    said = [event.message for event in events if event.kind is EventKind.WARNING]
    assert len(said) == warnings
    assert all("COGO_DATABASE_URL" in message and "polls" in message for message in said)


def test_a_listener_behind_a_transaction_pooler_gets_no_notification(dsn: str) -> None:
    """This is why it is not used: LISTEN succeeds, and no notification arrives."""
    with pooled(dsn, "transaction") as address, psycopg.connect(address, autocommit=True) as listener:
        listener.execute("listen cogo_jobs")
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("notify cogo_jobs")
        assert list(listener.notifies(timeout=0.5)) == []
