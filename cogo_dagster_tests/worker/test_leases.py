"""A lease is kept while its job runs; who has lost it stops, and leaves nothing behind."""

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
"""Renewed every two seconds: long enough for a machine that is busy with other tests."""


def test_a_long_job_keeps_its_lease(bench: Bench, queue: Queue) -> None:
    """The lease of a job that outlives it is extended again and again, so that nobody else takes the job."""
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


def test_a_lost_lease_stops_the_execution_and_the_new_owner_stands(bench: Bench, queue: Queue, lose: Lose) -> None:
    """Taken by another in mid-run, the job is stopped here, nothing is settled, and the other's result stays."""
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
        assert [event.job.id for event in running.told(EventKind.LEASE_LOST) if event.job] == [job]
        assert running.told(EventKind.SETTLED) == []
    assert look(queue, job)["status"] == "running"
    settle(queue, taken, Outcome.SUCCEEDED, result={"by": "the new owner"})
    assert look(queue, job)["result"] == {"by": "the new owner"}
    assert [attempt["outcome"] for attempt in look(queue, job)["superseded_attempts"]] == ["lost"]


@pytest.fixture
def renew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let leases be renewed when the test says so, and at no other time."""
    asked = threading.Event()

    def run(keeper: LeaseKeeper) -> None:
        asked.wait(60)
        keeper._renew_once()

    monkeypatch.setattr(LeaseKeeper, "_run", run)
    return asked.set


def test_a_renewal_that_finds_the_lease_lost_stops_the_execution(
    bench: Bench, queue: Queue, lose: Lose, renew: Callable[[], None]
) -> None:
    """At once, and not when the lease would have ended by the worker's own clock, which is in an hour."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        lose(job)
        renew()
        report = running.report(30)
    assert [held.id for held in gate.cancelled] == [job]
    assert report.counters["lease_lost"] == 1


def test_a_lease_lost_after_the_execution_refuses_the_result(bench: Bench, queue: Queue, lose: Lose) -> None:
    """A worker that learns of its loss only from settling counts it, and the job stays the other's."""
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
    """The worker learns of it at the next renewal, stops the execution, and the job is cancelled."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=LEASE_SECONDS, max_jobs=1) as running:
        gate.arrived()
        assert queue.cancel(job).document["cancel_requested"]
        report = running.report()
    assert [held.id for held in gate.cancelled] == [job]
    assert look(queue, job)["status"] == "cancelled"
    assert report.counters["cancelled"] == 1


def test_success_wins_over_a_cancel_request(bench: Bench, queue: Queue) -> None:
    """A job that ends well before its worker learns of the request has succeeded."""
    job, gate = add(queue), Gate()
    with bench.running(FakeExecutor(gate), lease_seconds=3600, max_jobs=1) as running:
        gate.arrived()
        queue.cancel(job)
        gate.open()
        running.report()
    assert look(queue, job)["status"] == "succeeded"


def test_expired_leases_of_others_are_recovered(bench: Bench, queue: Queue, age: Age) -> None:
    """A running worker takes back the job of one that died, and runs it as its second attempt."""
    job = add(queue)
    [dead] = take(queue, 1)
    age(job, 3600)
    executor = FakeExecutor()
    with bench.running(executor, max_jobs=1, recover_seconds=0.1) as running:
        report = running.report()
    assert dead.lease_token != executor.ran[0].lease_token
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("succeeded", 2)
    assert report.counters["recovered"] == 1
    assert len(running.told(EventKind.RECOVERED)) == 1
