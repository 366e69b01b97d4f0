"""The database becomes unreachable, or a reply is lost: the worker retries, and every job succeeds once."""

from collections.abc import Iterator

import pytest

from cogo_dagster.queue.artifacts import files
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster.queue.worker import EventKind
from cogo_dagster_tests.queue.steps import add, add_all
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate, leave_a_file
from cogo_dagster_tests.worker.fault_points import CALLS_FOR_LARGE_FILES
from cogo_dagster_tests.worker.faults import ProjectTrouble, Proxy, Trouble, proxied


@pytest.fixture
def transport(dsn: str) -> Iterator[Transport]:
    """Connect to the database directly, past the faults."""
    transport = PostgresTransport(dsn, role="service_role")
    yield transport
    transport.close()


@pytest.fixture
def proxy(project: StandIn | None, dsn: str) -> Iterator[Trouble]:
    """Yield faults between the worker and the test's database."""
    if project is not None:
        yield ProjectTrouble(project.faults)
        return
    with proxied(dsn) as proxy:
        yield proxy


@pytest.fixture
def distant(project: StandIn | None, proxy: Trouble) -> Iterator[Queue]:
    """Return the queue behind the faults, with short timeouts."""
    transport: Transport
    if isinstance(proxy, Proxy):
        # Statements are sent in full, so that the proxy can recognise them.
        transport = PostgresTransport(proxy.dsn, role="service_role", prepare=False)
    else:
        assert project is not None
        transport = SupabaseTransport(project.project(), first_pause_seconds=0.02)
    yield Queue(transport)
    transport.close()


def test_a_worker_survives_an_outage(bench: Bench, queue: Queue, distant: Queue, proxy: Trouble) -> None:
    """Cut off with running and due jobs, the worker warns once, keeps its jobs, and runs the others afterwards."""
    jobs, gate = add_all(queue, 20), Gate()
    executor = FakeExecutor(gate)
    with bench.running(executor, queue=distant, concurrency=4, linger_seconds=0, poll_seconds=0.1) as running:
        for _ in range(4):
            gate.arrived()
        proxy.cut()
        gate.open()
        eventually(lambda: running.events_of(EventKind.WARNING), "the worker noticed")
        assert queue.stats().document["running"] == 4
        proxy.restore()
        report = running.report()
    assert {(job.document["status"], job.document["attempts"]) for job in queue.get_jobs(jobs)} == {("succeeded", 1)}
    assert report.counters["succeeded"] == len(executor.ran) == 20
    assert report.counters.get("lease_lost", 0) == 0


@pytest.mark.parametrize("call", ["claim_jobs", "settle_with_artifacts", *CALLS_FOR_LARGE_FILES, "register_worker"])
def test_a_lost_reply_changes_nothing(
    bench: Bench, distant: Queue, proxy: Trouble, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call was executed and its reply lost: repeated, it returns the same result."""
    if call in CALLS_FOR_LARGE_FILES:
        monkeypatch.setattr(files, "MAX_KEPT_BYTES", -1)
    queue = bench.queue
    jobs = add_all(queue, 6)
    executor = FakeExecutor(leave_a_file)
    proxy.lose_reply_to(call)

    report = bench.drain(executor, queue=distant, concurrency=3)

    assert proxy.lost_replies == 1
    rows = queue.get_jobs(jobs)
    assert {(job.document["status"], job.document["attempts"]) for job in rows} == {("succeeded", 1)}
    assert [len(job.document["artifacts"]) for job in rows] == [1] * 6
    assert len(executor.ran) == report.counters["succeeded"] == report.counters["claimed"] == 6


def test_jobs_are_cancelled_if_the_outage_outlasts_the_lease(
    bench: Bench, queue: Queue, distant: Queue, proxy: Trouble
) -> None:
    """The worker's own clock says when its lease may have expired: it cancels the execution without a reply."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), queue=distant, lease_seconds=2, max_jobs=1) as running:
        gate.arrived()
        proxy.cut()
        eventually(lambda: gate.cancelled, "the execution was stopped")
        eventually(lambda: running.events_of(EventKind.LEASE_LOST), "the loss is reported")
        assert [event.job.id for event in running.events_of(EventKind.LEASE_LOST) if event.job] == [job]
        proxy.restore()
        running.report()


def test_a_stop_does_not_wait_for_the_database(bench: Bench, queue: Queue, distant: Queue, proxy: Trouble) -> None:
    """A stop gives up after ten seconds; the jobs are recovered when their leases expire."""
    add(queue)
    gate = Gate()
    with bench.running(FakeExecutor(gate), queue=distant, lease_seconds=3600) as running:
        gate.arrived()
        proxy.cut()
        running.worker.request_stop(0)
        assert running.report(seconds=12).ended_because == "stopped"
    assert queue.stats().document["running"] == 1
