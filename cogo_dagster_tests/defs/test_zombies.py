"""Runs whose processes were killed: detected through the queue, ended in Dagster, and reported."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._grpc.client import DagsterGrpcClient

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.worker_runs import DEPLOYMENT_TAG
from cogo_dagster.dagster_support.zombies import end_zombies
from cogo_dagster.defs.alerts.jobs import deliver_alerts
from cogo_dagster.defs.alerts.sensors import undelivered_alerts
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.defs.queue.sensors import ready_jobs, zombie_runs
from cogo_dagster.queue.client import Queue
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster.supervision.zombies import Watch
from cogo_dagster_tests.alerts.receivers import Reply, anything, receiving, until
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.defs.origins import of_job
from cogo_dagster_tests.queue.steps import a_worker, add, look, register

CheckRuns = Callable[[float], list[str]]


@pytest.fixture
def check_runs(instance: dg.DagsterInstance, cogo: CogoResource, queue: Queue) -> Iterator[CheckRuns]:
    """Return a function that checks for dead runs at a given second; the state is kept as in the sensor's cursor."""
    del queue  # requested so that its connections are counted after the ones here are closed
    with cogo.yield_for_execution(None) as opened:  # type: ignore[arg-type]
        seen = [Watch().to_text()]

        def check_runs(second: float) -> list[str]:
            watch, ended = end_zombies(instance, opened, Watch.from_text(seen[-1]), 1_000_000 + second)
            seen.append(watch.to_text())
            return ended

        yield check_runs


def a_run(
    instance: dg.DagsterInstance,
    queue: Queue,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    tags: dict[str, str] | None = None,
) -> str:
    """Create a run with a live worker; return its id."""
    run = instance.create_run_for_job(process_jobs, status=status, tags=tags)
    register(queue, replace(a_worker(), dagster_run_id=run.run_id))
    return run.run_id


def silence(owner: Owner, seconds: float = 60) -> None:
    """Move all heartbeats into the past, instead of waiting."""
    owner.execute("update public.workers set last_heartbeat_at = now() - make_interval(secs => %s)", (seconds,))


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """Return the status of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_with_a_silent_worker_is_failed(
    check_runs: CheckRuns, instance: dg.DagsterInstance, queue: Queue, owner: Owner
) -> None:
    """The run is failed after three heartbeat intervals with a responding database; one with a live worker is not."""
    dead, well = a_run(instance, queue), a_run(instance, queue)
    owner.execute(
        "update public.workers set last_heartbeat_at = now() - interval '1 minute' where dagster_run_id = %s", (dead,)
    )
    assert [check_runs(second) for second in (0, 10, 20, 30, 40)] == [[], [], [], [dead], []]
    assert status_of(instance, dead) is dg.DagsterRunStatus.FAILURE
    assert status_of(instance, well) is dg.DagsterRunStatus.STARTED


def test_a_dead_run_in_state_canceling_is_canceled(
    check_runs: CheckRuns, instance: dg.DagsterInstance, queue: Queue, owner: Owner
) -> None:
    """A run whose process died during its cancellation is canceled, not failed, and raises no alert."""
    run_id = a_run(instance, queue, dg.DagsterRunStatus.CANCELING)
    silence(owner)
    assert [check_runs(second) for second in (0, 10, 20, 30)][-1] == [run_id]
    assert status_of(instance, run_id) is dg.DagsterRunStatus.CANCELED


def test_a_run_of_another_deployment_is_ignored(
    check_runs: CheckRuns, instance: dg.DagsterInstance, queue: Queue, owner: Owner
) -> None:
    """Runs of another queue that shares Dagster's storage are not checked."""
    a_run(instance, queue, tags={DEPLOYMENT_TAG: "another"})
    silence(owner)
    assert [check_runs(second) for second in (0, 10, 20, 30)] == [[], [], [], []]


def test_the_sensor_keeps_its_state_in_the_cursor(
    instance: dg.DagsterInstance, cogo: CogoResource, queue: Queue, owner: Owner
) -> None:
    """The silences are in the cursor, so that a restart of the code server does not lose them."""
    a_run(instance, queue)
    silence(owner)
    with dg.build_sensor_context(instance=instance, resources={"cogo": cogo}) as context:
        result = zombie_runs(context)
    assert isinstance(result, dg.SensorResult)
    assert len(Watch.from_text(result.cursor).silences) == 1


def test_a_run_in_excess_of_the_maximum_ends_at_once(
    instance: dg.DagsterInstance, resources: dict[str, object], queue: Queue
) -> None:
    """With two working runs, the maximum, a third run succeeds without starting a worker."""
    add(queue)
    by_sensor = {"dagster/sensor_name": ready_jobs.name}
    a_run(instance, queue, tags=by_sensor)
    instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTING)
    late = process_jobs.execute_in_process(instance=instance, resources=resources, tags=by_sensor)
    assert late.success
    assert [event.step_key for event in late.all_events if event.event_type_value == "STEP_SKIPPED"] == [
        "execute_jobs",
        "upload_artifacts",
    ]
    assert any("COGO_MAX_WORKERS is 2" in entry.user_message for entry in instance.all_logs(late.run_id))
    assert len(queue.list_workers()) == 1


@contextmanager
def code_server() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Start a code server in its own process group; yield it with its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "dagster", "api", "grpc", "-m", "cogo_dagster.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield server, port
    finally:
        kill_all(server)


def kill_all(server: "subprocess.Popen[bytes]") -> None:
    """Kill a code server with its runs, as the failure of a machine does."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def is_listening(port: int) -> bool:
    """Whether a port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_failure_of_a_machine_is_detected_and_reported(
    persistent: dg.DagsterInstance,
    settings: dict[str, str],
    queue: Queue,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run and code server are killed; Dagster shows STARTED until zombie_runs fails the run, which raises an alert."""
    with receiving(lambda _: Reply(hang=True)) as site, receiving(anything) as receiver:
        monkeypatch.setenv("BROWSER_REAL_MODE", "false")
        monkeypatch.setenv("BROWSER_ALLOWED_HOSTS", site.authority)
        job = add(queue, payload={"url": site.url()})
        with code_server() as (server, port):
            until(lambda: is_listening(port), 80)
            run = persistent.create_run_for_job(process_jobs, remote_job_origin=of_job("process_jobs"))
            client = DagsterGrpcClient(port=port, host="127.0.0.1")
            DefaultRunLauncher.launch_run_from_grpc_client(persistent, run, client)
            until(lambda: look(queue, job)["status"] == "running", 80)
            kill_all(server)
        assert status_of(persistent, run.run_id) is dg.DagsterRunStatus.STARTED
        silence(owner)
        http = {"WEBHOOK_TYPE": "http", "WEBHOOK_URL": receiver.url(), "WEBHOOK_ALLOWED_HOSTS": receiver.authority}
        cogo = CogoResource(settings=settings | http)
        with cogo.yield_for_execution(None) as opened:  # type: ignore[arg-type]
            watch, now = Watch(), time.time()
            for second in (0, 10, 20, 30):
                watch, _ = end_zombies(persistent, opened, watch, now + second)
        assert status_of(persistent, run.run_id) is dg.DagsterRunStatus.FAILURE
        with dg.build_sensor_context(instance=persistent, resources={"cogo": cogo}) as context:
            undelivered_alerts(context)
        assert any(b"A run of the Dagster job process_jobs crashed" in request.body for request in receiver.accepted)


def test_other_runs_end_by_their_maximum_runtime(persistent: dg.DagsterInstance) -> None:
    """Run monitoring ends a run after its maximum runtime although its code server cannot be reached."""
    unreachable = json.dumps({"host": "127.0.0.1", "port": 1})
    runs = {
        seconds: persistent.create_run_for_job(
            deliver_alerts,
            status=dg.DagsterRunStatus.STARTED,
            tags={**deliver_alerts.tags, GRPC_INFO_TAG: unreachable},
        ).run_id
        for seconds in (800, 1_000)
    }
    for seconds, run_id in runs.items():
        start_earlier(persistent, run_id, seconds)
    context = SimpleNamespace(instance=persistent, create_request_context=lambda: None)
    assert list(execute_run_monitoring_iteration(context, logging.getLogger())) == [None, None]  # type: ignore[arg-type]
    assert [status_of(persistent, run_id) for run_id in runs.values()] == [
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.FAILURE,
    ]


def start_earlier(instance: dg.DagsterInstance, run_id: str, seconds: float) -> None:
    """Set the start of a run into the past."""
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    with storage.connect() as connection:
        begun = RunsTable.update().where(RunsTable.c.run_id == run_id).values(start_time=time.time() - seconds)
        connection.execute(begun)
