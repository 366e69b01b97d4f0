"""The sensors with a real queue: what they launch, and when they skip."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
def database_kind(request: pytest.FixtureRequest) -> str:
    """Run with both transports, which the settings select."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def tick(instance: dg.DagsterInstance, cogo: CogoResource) -> Tick:
    """Return a function that evaluates a sensor once, with a cursor."""

    def tick(sensor: dg.SensorDefinition, cursor: str | None = None) -> dg.SensorResult:
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"cogo": cogo}) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    return tick


def keys(result: dg.SensorResult) -> list[str]:
    """Return the requested run keys."""
    return [request.run_key or "" for request in result.run_requests or []]


def launched(result: dg.SensorResult) -> int:
    """Return the number of requested runs."""
    return len(keys(result))


def reason(result: dg.SensorResult) -> str:
    """Return the skip reason."""
    assert isinstance(result.skip_reason, dg.SkipReason)
    return result.skip_reason.skip_message or ""


def test_a_due_job_launches_a_run_with_a_new_key(tick: Tick, queue: Queue) -> None:
    """Run keys do not repeat, also after a reset of the cursor, since Dagster skips keys that it has seen."""
    add(queue)
    first, second, third = tick(ready_jobs, None), tick(ready_jobs, "7"), tick(ready_jobs, None)
    assert len({*keys(first), *keys(second), *keys(third)}) == 3
    assert keys(first)[0].startswith("worker-")


def test_an_empty_queue_launches_nothing(tick: Tick) -> None:
    """The skip reason has the numbers."""
    result = tick(ready_jobs, "7")
    assert launched(result) == 0
    assert reason(result) == "Jobs: 0 due, 0 orphaned. Workers: 0 alive, 0 starting."


def test_a_live_worker_suppresses_a_launch(tick: Tick, queue: Queue) -> None:
    """A worker with a recent heartbeat will claim the job, wherever it runs."""
    register(queue, a_worker())
    add(queue)
    assert "1 due, 0 orphaned. Workers: 1 alive" in reason(tick(ready_jobs, None))


def test_a_starting_run_suppresses_a_launch(tick: Tick, queue: Queue, instance: dg.DagsterInstance) -> None:
    """A run counts as a worker until its worker has registered."""
    instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTING)
    add(queue)
    assert "1 starting" in reason(tick(ready_jobs, None))


def test_jobs_of_a_killed_run_launch_a_worker(tick: Tick, queue: Queue, instance: dg.DagsterInstance) -> None:
    """A worker whose run has failed is gone although its heartbeat is recent; its running job is orphaned."""
    run = instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.FAILURE)
    worker = replace(a_worker(), dagster_run_id=run.run_id)
    register(queue, worker)
    add(queue)
    take(queue, 1, worker=worker)
    assert launched(tick(ready_jobs, None)) == 1


@pytest.mark.parametrize("options", [{"type": "unserved"}, {"executor_id": "somewhere-else"}], ids=["type", "address"])
def test_jobs_that_no_run_could_claim_launch_nothing(tick: Tick, queue: Queue, options: dict[str, str]) -> None:
    """Jobs of a type without an executor, or addressed to another executor id, are not counted as due."""
    add(queue, **options)
    assert "0 due" in reason(tick(ready_jobs, None))


def test_expired_leases_launch_a_recovery_without_workers(tick: Tick, queue: Queue, age: Age) -> None:
    """The sensor launches recover_leases only while no worker is alive."""
    age(running_job(queue), 3600)
    assert launched(tick(expired_leases, None)) == 1
    register(queue, a_worker())
    assert launched(tick(expired_leases, None)) == 0


def test_valid_leases_launch_no_recovery(tick: Tick, queue: Queue) -> None:
    """A running job with a valid lease launches nothing."""
    running_job(queue)
    assert reason(tick(expired_leases, None)).startswith("0 expired leases")


def a_run_of(queue: Queue, instance: dg.DagsterInstance, *families: str) -> WorkerIdentity:
    """Create a run of process_jobs with a registered worker."""
    run = instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTED)
    worker = replace(a_worker(), dagster_run_id=run.run_id)
    register(queue, worker, families=families)
    return worker


def test_a_run_in_dagsters_queue_suppresses_a_launch(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queued run counts however long it waits; otherwise more runs than COGO_MAX_WORKERS could start together."""
    instance.create_run_for_job(
        process_jobs, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=of_job("process_jobs")
    )
    monkeypatch.setattr("cogo_dagster.dagster_support.worker_runs._STARTING_SECONDS", -1)
    add(queue)
    assert "1 starting" in reason(tick(ready_jobs, None))


def test_a_run_whose_worker_has_died_is_not_starting(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, owner: Owner
) -> None:
    """Its worker was registered and is silent, so another run is launched without waiting for three minutes."""
    a_run_of(queue, instance, "browser")
    add(queue)
    assert launched(tick(ready_jobs, None)) == 0
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    assert launched(tick(ready_jobs, None)) == 1


def test_a_family_that_no_worker_runs_launches_no_runs(
    tick: Tick,
    queue: Queue,
    instance: dg.DagsterInstance,
    cogo: CogoResource,
    owner: Owner,
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If recent workers did not register the family, further runs would not claim its jobs either."""
    add(queue, type="weekly_summary")
    assert launched(tick(ready_jobs, None)) == 1
    a_run_of(queue, instance, "browser")
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    assert "0 due" in reason(tick(ready_jobs, None))
    with cogo.yield_for_execution(None):  # type: ignore[arg-type]
        assert unserved(cogo) == {"weekly_summary": 1}
    monkeypatch.setattr("cogo_dagster.dagster_support.backlog._LOADED_AT", datetime.now(UTC) - timedelta(days=30))
    owner.execute("update public.workers set started_at = started_at - interval '6 days'")
    assert "0 due" in reason(tick(ready_jobs, None))
    owner.execute("update public.workers set started_at = started_at - interval '2 days'")
    assert launched(tick(ready_jobs, None)) == 1


def test_workers_of_other_families_count_towards_the_maximum(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, owner: Owner
) -> None:
    """COGO_MAX_WORKERS limits all runs, whatever their families; the default is two."""
    a_run_of(queue, instance, "browser")
    owner.execute("update public.workers set last_heartbeat_at = now() - interval '1 minute'")
    add(queue)
    a_run_of(queue, instance, "gate")
    assert launched(tick(ready_jobs, None)) == 1
    a_run_of(queue, instance, "gate")
    assert launched(tick(ready_jobs, None)) == 0


def test_a_tick_has_a_time_limit() -> None:
    """Work that exceeds its limit raises TickTooLong; results and other exceptions are passed on."""
    ended = threading.Event()
    with pytest.raises(TickTooLong, match=r"^Reading the queue took longer than 0\.05 s"):
        within(0.05, "Reading the queue", lambda: ended.wait(20))
    ended.set()
    with pytest.raises(KeyError):
        within(5, "Reading", lambda: os.environ["COGO_NO_SUCH_VARIABLE"])
    assert within(5, "Reading", lambda: 7) == 7
