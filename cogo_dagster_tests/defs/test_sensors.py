"""The sensors on the real queue: what makes them launch, and what keeps them quiet."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest

from cogo_dagster.dagster_support.backlog import unserved
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.ticks import TickTooLong, within
from cogo_dagster.defs.operators.sensors import expired_leases
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.defs.queue.sensors import ready_jobs
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.defs.origins import of_job
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, take

Tick = Callable[[dg.SensorDefinition, str | None], dg.SensorResult]


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Work over both transports, chosen by nothing but the settings."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def tick(instance: dg.DagsterInstance, cogo: CogoResource) -> Tick:
    """Evaluate a sensor once, after a cursor."""

    def tick(sensor: dg.SensorDefinition, cursor: str | None = None) -> dg.SensorResult:
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"cogo": cogo}) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    return tick


def keys(result: dg.SensorResult) -> list[str]:
    """Return the run keys asked for."""
    return [request.run_key or "" for request in result.run_requests or []]


def launched(result: dg.SensorResult) -> int:
    """Return how many runs are asked for."""
    return len(keys(result))


def reason(result: dg.SensorResult) -> str:
    """Return why nothing was asked for."""
    assert isinstance(result.skip_reason, dg.SkipReason)
    return result.skip_reason.skip_message or ""


def test_a_due_job_launches_a_worker_under_a_new_key(tick: Tick, queue: Queue) -> None:
    """No launch had its key before, also after somebody reset the cursor: Dagster skips a key that it has seen."""
    add(queue)
    first, second, third = tick(ready_jobs, None), tick(ready_jobs, "7"), tick(ready_jobs, None)
    assert len({*keys(first), *keys(second), *keys(third)}) == 3
    assert keys(first)[0].startswith("worker-")


def test_an_empty_queue_launches_nothing(tick: Tick) -> None:
    """The tick says what it saw."""
    result = tick(ready_jobs, "7")
    assert launched(result) == 0
    assert reason(result) == "0 due, 0 orphaned, 0 workers alive, 0 starting."


def test_a_living_worker_is_enough(tick: Tick, queue: Queue) -> None:
    """Whoever started it, a worker with a fresh heartbeat will take the job."""
    register(queue, a_worker())
    add(queue)
    assert "1 due, 0 orphaned, 1 workers alive" in reason(tick(ready_jobs, None))


def test_a_run_that_is_starting_is_enough(tick: Tick, queue: Queue, instance: dg.DagsterInstance) -> None:
    """A launch takes seconds: until its worker has registered, the run itself counts."""
    instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTING)
    add(queue)
    assert "1 starting" in reason(tick(ready_jobs, None))


def test_jobs_of_a_killed_run_launch_a_worker(tick: Tick, queue: Queue, instance: dg.DagsterInstance) -> None:
    """The run has failed although its heartbeat is fresh: its running job is an orphan, and somebody must be there."""
    run = instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.FAILURE)
    worker = replace(a_worker(), dagster_run_id=run.run_id)
    register(queue, worker)
    add(queue)
    take(queue, 1, worker=worker)
    assert launched(tick(ready_jobs, None)) == 1


@pytest.mark.parametrize("options", [{"type": "nobodys"}, {"executor_id": "somewhere-else"}], ids=["type", "address"])
def test_jobs_that_a_run_could_not_claim_launch_nothing(tick: Tick, queue: Queue, options: dict[str, str]) -> None:
    """A type without executor, or the address of another: run after run would wait for it in vain."""
    add(queue, **options)
    assert "0 due" in reason(tick(ready_jobs, None))


def test_expired_leases_are_recovered_when_nobody_is_there(tick: Tick, queue: Queue, age: Age) -> None:
    """Without a worker the sensor launches the recovery; with one it leaves it to it."""
    age(running_job(queue), 3600)
    assert launched(tick(expired_leases, None)) == 1
    register(queue, a_worker())
    assert launched(tick(expired_leases, None)) == 0


def test_no_expired_leases_no_recovery(tick: Tick, queue: Queue) -> None:
    """A lease that holds needs nothing."""
    running_job(queue)
    assert reason(tick(expired_leases, None)).startswith("0 expired leases")


def a_run_of(queue: Queue, instance: dg.DagsterInstance, *families: str) -> WorkerIdentity:
    """Let a run of process_jobs register its worker."""
    run = instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTED)
    worker = replace(a_worker(), dagster_run_id=run.run_id)
    register(queue, worker, families=families)
    return worker


def test_a_run_that_waits_in_dagsters_queue_is_enough(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it waits: more of them would all begin together once there is room, past COGO_MAX_WORKERS."""
    instance.create_run_for_job(
        process_jobs, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=of_job("process_jobs")
    )
    monkeypatch.setattr("cogo_dagster.dagster_support.worker_runs._STARTING_SECONDS", -1)
    add(queue)
    assert "1 starting" in reason(tick(ready_jobs, None))


def test_a_run_whose_worker_died_at_once_is_not_starting(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, owner: Owner
) -> None:
    """Its worker has registered and is silent: another one is launched at once, and not after three minutes."""
    a_run_of(queue, instance, "browser")
    add(queue)
    assert launched(tick(ready_jobs, None)) == 0
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    assert launched(tick(ready_jobs, None)) == 1


def test_a_family_that_no_worker_takes_launches_no_runs(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, cogo: CogoResource, owner: Owner
) -> None:
    """The code location could run it and the machines of the workers cannot: run after run would leave it."""
    add(queue, type="weekly_summary")
    assert launched(tick(ready_jobs, None)) == 1
    a_run_of(queue, instance, "browser")
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    assert "0 due" in reason(tick(ready_jobs, None))
    with cogo.yield_for_execution(None):  # type: ignore[arg-type]
        assert unserved(cogo) == {"weekly_summary": 1}
    owner.execute("update public.workers set started_at = started_at - interval '2 hours'")
    assert launched(tick(ready_jobs, None)) == 1


def test_workers_of_other_families_fill_the_maximum(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, owner: Owner
) -> None:
    """COGO_MAX_WORKERS is how many runs there may be at all, two by default."""
    a_run_of(queue, instance, "browser")
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    add(queue)
    a_run_of(queue, instance, "gate")
    assert launched(tick(ready_jobs, None)) == 1
    a_run_of(queue, instance, "gate")
    assert launched(tick(ready_jobs, None)) == 0


def test_a_tick_ends_in_time_whatever_it_waits_for() -> None:
    """A database that says nothing would hold up the daemon; the tick fails with a sentence instead."""
    ended = threading.Event()
    with pytest.raises(TickTooLong, match=r"^Reading the queue has not ended within 0\.05 s"):
        within(0.05, "Reading the queue", lambda: ended.wait(20))
    ended.set()
    with pytest.raises(KeyError):
        within(5, "Reading", lambda: os.environ["COGO_NO_SUCH_VARIABLE"])
    assert within(5, "Reading", lambda: 7) == 7
