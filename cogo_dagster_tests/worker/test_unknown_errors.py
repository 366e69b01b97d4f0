"""Unknown errors are transient: they change no outcome, and the retries of each item are limited."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, TransportError
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import EventKind, WorkerStuck, calls
from cogo_dagster_tests.conftest import Lose
from cogo_dagster_tests.queue.steps import add, add_all, look
from cogo_dagster_tests.worker.bench import Bench
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate
from cogo_dagster_tests.worker.faults import Watched

Condition = Callable[[str, Mapping[str, Json]], bool]

SETTLING: Final = ("settle_jobs", "settle_with_artifacts", "succeed_jobs")
UNKNOWN: Final = "The database returned 57P05: terminating connection due to idle-session timeout"


@pytest.fixture
def way() -> str:
    """Use one transport: the errors are raised above the transports."""
    return "postgres"


def failing(transport: Transport, when: Condition, error: Exception | None = None) -> Queue:
    """Return the queue with an error before calls that meet a condition."""

    def before(function: str, arguments: Mapping[str, Json]) -> None:
        if when(function, arguments):
            raise error or TransportError(UNKNOWN)

    return Queue(Watched(transport, before))


def first(count: int, function: str) -> Condition:
    """Return a condition for the first calls of a function."""
    seen = 0

    def condition(called: str, arguments: Mapping[str, Json]) -> bool:
        nonlocal seen
        seen += called == function
        return called == function and seen <= count

    return condition


@pytest.mark.parametrize(
    "function",
    ["claim_jobs", "succeed_jobs", "record_heartbeat", "recover_leases", "register_worker", "stop_worker", "next_due"],
)
@pytest.mark.parametrize("error", [TransportError, DatabaseUnavailable, AccessDenied], ids=lambda error: error.__name__)
def test_a_transient_error_fails_no_job(
    bench: Bench, queue: Queue, transport: Transport, function: str, error: type[QueueError]
) -> None:
    """Two failures of any call: the job succeeds at its first attempt, and the worker ends normally."""
    job = add(queue)
    unsteady = failing(transport, first(2, function), error(UNKNOWN))
    report = bench.drain(FakeExecutor(), queue=unsteady, heartbeat_seconds=0.05, recover_seconds=0.05)
    assert report.ended_because == "drained"
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("succeeded", 1)


def test_an_outcome_that_cannot_be_settled_is_settled_without_its_details(
    bench: Bench, queue: Queue, transport: Transport
) -> None:
    """Its call fails on every connection while others succeed: success and failure are kept, without details."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        if job.payload["fails"]:
            raise ExecutionFailed("poison", error_class="known", retryable=False, detail="poison")
        return ExecutionResult({"text": "poison"})

    jobs = [add(queue, payload={"fails": fails}) for fails in (False, True)]
    plain = add(queue, "plain")
    unsteady = failing(transport, lambda called, given: called in SETTLING and "poison" in str(given))
    report = bench.drain(FakeExecutor(body), FakeExecutor(family="plain"), queue=unsteady)
    well, badly = (look(queue, job) for job in jobs)
    assert (well["status"], well["result"], well["attempts"]) == ("succeeded", {"details_dropped": True}, 1)
    assert (badly["status"], badly["error"]["class"], badly["attempts"]) == ("failed", "details_dropped", 1)
    assert look(queue, plain)["status"] == "succeeded"
    assert report.ended_because == "drained"


def test_the_lease_of_an_attempt_that_cannot_be_settled_expires(
    bench: Bench, queue: Queue, transport: Transport, lose: Lose
) -> None:
    """The bare outcome is rejected too: the lease is no longer renewed, and the attempt counts."""
    job, plain = add(queue), add(queue, "plain")
    unsteady = failing(transport, lambda called, given: called in SETTLING and str(job) in str(given))
    report = bench.drain(FakeExecutor(), FakeExecutor(family="plain"), queue=unsteady)
    assert report.ended_because == "drained"
    assert look(queue, plain)["status"] == "succeeded"
    assert look(queue, job)["status"] == "running"  # the worker's deregistration does not requeue it
    lose(job)
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("queued", 1)


def test_a_claim_that_fails_repeatedly_is_split_into_single_jobs(
    bench: Bench, queue: Queue, transport: Transport
) -> None:
    """A reply with several jobs never arrives, one with a single job does: all jobs run."""
    jobs = add_all(queue, 3)
    unsteady = failing(transport, lambda called, given: called == "claim_jobs" and given["max_jobs"] > 1)
    bench.drain(FakeExecutor(), queue=unsteady)
    assert {row.document["status"] for row in queue.get_jobs(jobs)} == {"succeeded"}


def test_a_worker_ends_after_persistent_denial_of_access(
    bench: Bench, queue: Queue, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends with AccessDenied, and no attempt is refunded."""
    monkeypatch.setattr(calls, "_DENIED_SECONDS", 1.0)
    job, gate = add(queue), Gate()
    denied: list[bool] = []
    refused = failing(transport, lambda *_: bool(denied), AccessDenied("The key is refused."))
    running = bench.worker(FakeExecutor(gate), queue=refused)
    running.start()
    gate.arrived()
    denied.append(True)
    with pytest.raises(AccessDenied):
        running.report()
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("running", 1)


def test_a_worker_whose_claims_always_fail_ends_as_stuck(bench: Bench, queue: Queue, transport: Transport) -> None:
    """Every claim fails while the database answers other calls: the worker reports this and ends."""
    unsteady = failing(transport, lambda called, _: called == "claim_jobs", ValueError("a bug"))
    running = bench.worker(FakeExecutor(), queue=unsteady, stuck_seconds=2)
    running.start()
    with pytest.raises(WorkerStuck, match="No claim succeeded"):
        running.report()
    assert any("No claim succeeded" in event.message for event in running.events_of(EventKind.WARNING))
    [row] = queue.list_workers()
    assert (row.document["stopped_at"], row.document["alive"]) == (None, False)
    assert "No claim succeeded" in row.document["stuck_reason"]


def test_an_unexpected_end_refunds_nothing(bench: Bench, queue: Queue, transport: Transport) -> None:
    """A worker that ends by an error does not requeue its jobs: their leases expire, and the attempts count."""
    job, gate = add(queue), Gate()
    broken: list[bool] = []
    unsteady = failing(transport, lambda called, _: called == "claim_jobs" and bool(broken), ValueError("a fault"))
    running = bench.worker(FakeExecutor(gate), queue=unsteady, stuck_seconds=1)
    running.start()
    gate.arrived()
    broken.append(True)
    with pytest.raises(WorkerStuck):
        running.report()
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("running", 1)
