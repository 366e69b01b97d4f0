"""An idle worker is woken by an enqueue instead of finding the job at its next poll."""

import time

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor
from cogo_dagster_tests.worker.faults import proxied

AN_HOUR = 3600.0


@pytest.fixture
def way() -> str:
    """Use a database connection; the test creates its own transport."""
    return "postgres"


def is_idle(queue: Queue) -> bool:
    """Whether a worker's row requests wake-ups."""
    return any(worker.document["idle"] for worker in queue.list_workers(alive_only=True))


def test_an_idle_worker_is_woken(bench: Bench, queue: Queue, dsn: str) -> None:
    """A worker that polls once an hour runs new jobs within moments, repeatedly."""
    with bench.running(FakeExecutor(), wakeup=ListenWakeup(dsn), poll_seconds=AN_HOUR):
        for _ in range(5):
            eventually(lambda: is_idle(queue), "the worker reported that it is idle")
            job = add(queue)
            began = time.monotonic()
            eventually(lambda job=job: look(queue, job)["status"] == "succeeded", "the job ran", seconds=20)  # type: ignore[misc]
            assert time.monotonic() - began < 20


def test_a_worker_whose_row_was_deleted_is_woken_again(bench: Bench, queue: Queue, dsn: str, owner: Owner) -> None:
    """After it has registered again, it reports again that it is idle, and enqueues wake it."""
    options = {"poll_seconds": AN_HOUR, "heartbeat_seconds": 0.2}
    with bench.running(FakeExecutor(), wakeup=ListenWakeup(dsn), **options):
        eventually(lambda: is_idle(queue), "the worker reported that it is idle")
        owner.execute("delete from public.workers")
        eventually(lambda: is_idle(queue), "the worker reported it again")
        job = add(queue)
        eventually(lambda: look(queue, job)["status"] == "succeeded", "the job ran", seconds=20)


def test_the_listener_reconnects(bench: Bench, queue: Queue, dsn: str) -> None:
    """When its connection breaks, the listener reconnects, and the worker claims jobs whose wake-up was missed."""
    with (
        proxied(dsn) as proxy,
        bench.running(FakeExecutor(), wakeup=ListenWakeup(proxy.dsn), poll_seconds=AN_HOUR),
    ):
        eventually(lambda: is_idle(queue), "the worker reported that it is idle")
        proxy.cut()
        job = add(queue)
        proxy.restore()
        eventually(lambda: look(queue, job)["status"] == "succeeded", "the job ran", seconds=30)


def test_no_listener_remains(bench: Bench, dsn: str) -> None:
    """The listener's connection is closed when its worker ends."""
    with bench.running(FakeExecutor(), wakeup=ListenWakeup(dsn), linger_seconds=0) as running:
        running.report()
    count = (
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo listen'"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        eventually(lambda: connection.execute(count).fetchone() == (0,), "the connection ended", seconds=5)
