"""The sensors on the real queue: what makes them launch, and what keeps them quiet."""

from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest

from cogo_dagster.defs.jobs import process_jobs
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.sensors import expired_leases, ready_jobs
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.conftest import Age
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


def keys(result: dg.SensorResult) -> list[str | None]:
    """Return the run keys asked for."""
    return [request.run_key for request in result.run_requests or []]


def reason(result: dg.SensorResult) -> str:
    """Return why nothing was asked for."""
    assert isinstance(result.skip_reason, dg.SkipReason)
    return result.skip_reason.skip_message or ""


def test_a_due_job_launches_a_worker_under_a_new_key(tick: Tick, queue: Queue) -> None:
    """Each launch has a key that no launch had before, so that Dagster does not take it for a repetition."""
    add(queue)
    first = tick(ready_jobs, None)
    second = tick(ready_jobs, first.cursor)
    assert (keys(first), keys(second)) == (["worker-1"], ["worker-2"])


def test_an_empty_queue_launches_nothing(tick: Tick) -> None:
    """The tick says what it saw."""
    result = tick(ready_jobs, "7")
    assert keys(result) == []
    assert result.cursor == "7"
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
    assert keys(tick(ready_jobs, None)) == ["worker-1"]


@pytest.mark.parametrize("options", [{"type": "nobodys"}, {"executor_id": "somewhere-else"}], ids=["type", "address"])
def test_jobs_that_a_run_could_not_claim_launch_nothing(tick: Tick, queue: Queue, options: dict[str, str]) -> None:
    """A type without executor, or the address of another: run after run would wait for it in vain."""
    add(queue, **options)
    assert "0 due" in reason(tick(ready_jobs, None))


def test_expired_leases_are_recovered_when_nobody_is_there(tick: Tick, queue: Queue, age: Age) -> None:
    """Without a worker the sensor launches the recovery; with one it leaves it to it."""
    age(running_job(queue), 3600)
    assert keys(tick(expired_leases, None)) == ["recovery-1"]
    register(queue, a_worker())
    assert keys(tick(expired_leases, None)) == []


def test_no_expired_leases_no_recovery(tick: Tick, queue: Queue) -> None:
    """A lease that holds needs nothing."""
    running_job(queue)
    assert reason(tick(expired_leases, None)).startswith("0 expired leases")
