"""How many connections a worker opens: COGO_POOL_SIZE bounds them, besides the one for notifications."""

from collections.abc import Iterator

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster_tests.queue.steps import add_all
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor

OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and not pid = any (%s)
"""


@pytest.fixture
def way() -> str:
    """Run over PostgreSQL only."""
    return "postgres"


@pytest.fixture(params=[1, 2])
def limited(request: pytest.FixtureRequest, dsn: str) -> Iterator[tuple[int, Queue]]:
    """Yield a size and a queue with a pool of this size."""
    transport = PostgresTransport(dsn, role="service_role", max_connections=request.param)
    yield request.param, Queue(transport)
    transport.close()


def test_a_busy_worker_opens_no_more_connections_than_its_pool(
    bench: Bench, queue: Queue, limited: tuple[int, Queue], dsn: str
) -> None:
    """Sixteen slots, leases, heartbeats and settlements share the pool; one more connection listens."""
    size, queue_of_worker = limited
    jobs = add_all(queue, 100)
    highest = 0
    with psycopg.connect(dsn, autocommit=True) as looking:
        before = [pid for (pid,) in looking.execute("select pid from pg_stat_activity").fetchall()]

        async def look(_: Job, __: Workspace) -> ExecutionResult:
            nonlocal highest
            row = looking.execute(OTHERS, (before,)).fetchone()
            assert row is not None
            highest = max(highest, row[0])
            return ExecutionResult()

        fast = {"concurrency": 16, "heartbeat_seconds": 0.05, "recover_seconds": 0.05, "poll_seconds": 0.05}
        with bench.running(FakeExecutor(look), queue=queue_of_worker, wakeup=ListenWakeup(dsn), **fast):
            eventually(
                lambda: {row.document["status"] for row in queue.get_jobs(jobs)} == {"succeeded"}, "all jobs ended"
            )
    assert 1 <= highest <= size + 1
