"""A lease is kept while its job runs; a worker that lost it cancels the job and leaves no result."""

import threading
from collections.abc import Callable

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Outcome
from cogo_dagster.queue.worker import EventKind
from cogo_dagster.queue.worker.leases import LeaseKeeper
from cogo_dagster_tests.conftest import Age, Lose
from cogo_dagster_tests.queue.steps import add, look, settle, take
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate

LEASE_SECONDS = 6
"""Renewed every two seconds: long enough for a loaded machine."""


def test_a_long_job_keeps_its_lease(bench: Bench, queue: Queue) -> None:
    """The lease of a job that runs longer is extended repeatedly, so that no other worker claims the job."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=LEASE_SECONDS, linger_seconds=0) as running:
        gate.arrived()
        seen = {look(queue, job)["lease_expires_at"]}

        def extended_twice() -> bool:
            seen.add(look(queue, job)["lease_expires_at"])
            return len(seen) == 3

        eventually(extended_twice, "the lease was extended twice")
        assert queue.recover().changed == 0
        gate.open()
        running.report()
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("succeeded", 1)


def test_a_lost_lease_cancels_the_execution(bench: Bench, queue: Queue, lose: Lose) -> None:
    """The job is claimed by another worker: it is cancelled here, not settled, and the other's result is kept."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=LEASE_SECONDS, max_jobs=1) as running:
        gate.arrived()
        lose(job)
        [taken] = take(queue, 1)
        assert taken.id == job

        report = running.report()

        assert [held.id for held in gate.cancelled] == [job]
        assert report.counters["lease_lost"] == 1
        assert not {"succeeded", "failed", "retried", "requeued"} & {k for k, n in report.counters.items() if n}
        assert [event.job.id for event in running.events_of(EventKind.LEASE_LOST) if event.job] == [job]
        assert running.events_of(EventKind.SETTLED) == []
    assert look(queue, job)["status"] == "running"
    settle(queue, taken, Outcome.SUCCEEDED, result={"by": "the new owner"})
    assert look(queue, job)["result"] == {"by": "the new owner"}
    assert [attempt["outcome"] for attempt in look(queue, job)["superseded_attempts"]] == ["lost"]


@pytest.fixture
def renew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Renew leases only when the test calls this."""
    asked = threading.Event()

    def run(keeper: LeaseKeeper) -> None:
        asked.wait(60)
        keeper._renew_once()

    monkeypatch.setattr(LeaseKeeper, "_run", run)
    return asked.set


def test_a_renewal_that_finds_the_lease_lost_cancels_the_execution(
    bench: Bench, queue: Queue, lose: Lose, renew: Callable[[], None]
) -> None:
    """It is cancelled at once and not when the lease ends by the worker's clock, which is in an hour."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        lose(job)
        renew()
        report = running.report(30)
    assert [held.id for held in gate.cancelled] == [job]
    assert report.counters["lease_lost"] == 1


def test_a_lease_lost_after_the_execution_rejects_the_result(bench: Bench, queue: Queue, lose: Lose) -> None:
    """A worker that learns of the loss when it settles counts it, and the job is unchanged."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        lose(job)
        [taken] = take(queue, 1)
        gate.open()
        report = running.report()
    assert (report.counters["lease_lost"], report.counters.get("succeeded", 0)) == (1, 0)
    assert look(queue, job)["status"] == "running"
    assert settle(queue, taken).status == "ok"


def test_a_cancel_request_reaches_the_running_job(bench: Bench, queue: Queue) -> None:
    """The worker gets it at the next renewal, cancels the execution, and the job is cancelled."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=LEASE_SECONDS, max_jobs=1) as running:
        gate.arrived()
        assert queue.cancel(job).document["cancel_requested"]
        report = running.report()
    assert [held.id for held in gate.cancelled] == [job]
    assert look(queue, job)["status"] == "cancelled"
    assert report.counters["cancelled"] == 1


def test_success_overrides_a_cancel_request(bench: Bench, queue: Queue) -> None:
    """A job that succeeds before its worker gets the request has succeeded."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        queue.cancel(job)
        gate.open()
        running.report()
    assert look(queue, job)["status"] == "succeeded"


def test_expired_leases_of_other_workers_are_recovered(bench: Bench, queue: Queue, age: Age) -> None:
    """A running worker recovers the job of a dead one, and runs it as its second attempt."""
    job = add(queue)
    [dead] = take(queue, 1)
    age(job, 3600)
    executor = FakeExecutor()
    with bench.running(executor, max_jobs=1, recover_seconds=0.1) as running:
        report = running.report()
    assert dead.lease_token != executor.ran[0].lease_token
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("succeeded", 2)
    assert report.counters["recovered"] == 1
    assert len(running.events_of(EventKind.RECOVERED)) == 1
