"""A failover to another server, or an unresponsive server, while a worker is connected."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports import postgres
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.servers import private_server
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor
from cogo_dagster_tests.worker.faults import Proxy, proxied

AN_HOUR = 3600.0


@dataclass(frozen=True)
class Pair:
    """Two servers with the same password, and an address that leads to the first one."""

    old: str
    new: str
    proxy: Proxy

    def fail_over(self) -> None:
        """Make the old server read-only with its connections open, and direct new connections to the new one."""
        self.proxy.lead_to(self.new)
        with psycopg.connect(self.old, autocommit=True) as connection:
            connection.execute("alter system set default_transaction_read_only = on")
            connection.execute("select pg_reload_conf()")


@pytest.fixture
def pair(cluster: Path) -> Iterator[Pair]:
    """Start two copies of a server, which have the same password."""
    with ExitStack() as started:
        addresses = []
        for _ in range(2):
            server = started.enter_context(private_server(cluster=cluster))
            started.enter_context(server.running())
            addresses.append(server.dsn())
        old, new = addresses
        yield Pair(old, new, started.enter_context(proxied(old)))


def test_workers_follow_their_database_to_another_server(pair: Pair, tmp_path: Path) -> None:
    """The old server returns read-only errors and closes nothing: jobs of the new one run within seconds.

    One worker polls, and the other one waits for a wake-up.
    """
    with ExitStack() as opened:
        old, near = (Queue(opened.enter_context(closing(PostgresTransport(dsn)))) for dsn in (pair.old, pair.new))
        pauses = {"polled": 0.2, "woken": AN_HOUR}
        for family, poll_seconds in pauses.items():
            distant = opened.enter_context(closing(PostgresTransport(pair.proxy.dsn)))
            bench = Bench(Queue(distant), FolderStore(tmp_path / family))
            wakeup = ListenWakeup(pair.proxy.dsn, probe_seconds=0.2, reply_seconds=2)
            options = {"wakeup": wakeup, "poll_seconds": poll_seconds, "heartbeat_seconds": 0.3}
            opened.enter_context(bench.running(FakeExecutor(family=family), **options))
        _run_one_of_each(old, pauses)
        pair.fail_over()
        _run_one_of_each(near, pauses)


def _run_one_of_each(queue: Queue, families: Iterable[str]) -> None:
    jobs = [add(queue, family) for family in families]
    for job in jobs:
        eventually(lambda job=job: look(queue, job)["status"] == "succeeded", "the job ran", seconds=40)  # type: ignore[misc]


def test_a_worker_survives_unresponsive_connections(
    bench: Bench, queue: Queue, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network keeps every old connection open and drops its data: new jobs run over new connections."""
    monkeypatch.setattr(postgres, "REPLY_SECONDS", 1.0)
    with proxied(dsn) as proxy:
        distant = PostgresTransport(proxy.dsn, role="service_role")
        wakeup = ListenWakeup(proxy.dsn, probe_seconds=0.2, reply_seconds=1)
        with bench.running(FakeExecutor(), queue=Queue(distant), wakeup=wakeup, poll_seconds=AN_HOUR):
            for _ in range(2):
                job = add(queue)
                eventually(lambda job=job: look(queue, job)["status"] == "succeeded", "the job ran", seconds=40)  # type: ignore[misc]
                proxy.silence()
            job = add(queue)
            eventually(lambda: look(queue, job)["status"] == "succeeded", "the job ran", seconds=40)
        distant.close()


@pytest.fixture
def way() -> str:
    """Use a database connection; the test creates its own transport."""
    return "postgres"
