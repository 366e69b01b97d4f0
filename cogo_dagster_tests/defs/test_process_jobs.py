"""`process_jobs` in process, with a real queue: outcomes, metadata, and interruption."""

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.worker_thread import WorkerThread
from cogo_dagster.defs.operators.jobs import recover_leases
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import Stage, Worker, WorkerEvent
from cogo_dagster_tests.conftest import Age
from cogo_dagster_tests.defs.conftest import Installed
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.queue.steps import add, look, running_job
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate, a_file

WEB = "https://ops.example"
OPS = ["claim_jobs", "execute_jobs", "upload_artifacts"]


class Runs:
    """Runs the Dagster job and reads its logs."""

    def __init__(self, instance: dg.DagsterInstance, resources: dict[str, object]) -> None:
        self.instance = instance
        self._resources = resources

    def run(self, ops: Sequence[str] | None = None, **config: object) -> dg.ExecuteInProcessResult:
        """Run process_jobs until it ends."""
        claim = {"claim_jobs": {"config": {"linger_seconds": 0.0, **config}}}
        return process_jobs.execute_in_process(
            instance=self.instance,
            resources=self._resources,
            op_selection=ops,
            run_config={
                "ops": claim if ops is None or "claim_jobs" in ops else {},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )

    def lines(self, result: dg.ExecuteInProcessResult, level: int) -> list[str]:
        """Return the messages of the run's log with a level."""
        entries = self.instance.all_logs(result.run_id)
        return [entry.user_message for entry in entries if entry.level == level and entry.dagster_event is None]


@pytest.fixture(params=["postgres", "supabase"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Run with both transports, which the settings select."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def settings(settings: dict[str, str]) -> dict[str, str]:
    """Return the settings with the address of the dashboard, for links."""
    return settings | {"METRICS_BASE": WEB}


@pytest.fixture
def runs(instance: dg.DagsterInstance, resources: dict[str, object]) -> Runs:
    """Return a runner of the Dagster job."""
    return Runs(instance, resources)


async def odd_ones_fail(job: Job, workspace: Workspace) -> ExecutionResult:
    """Fail permanently if the payload says so, else return a file."""
    if job.payload.get("odd"):
        raise ExecutionFailed("There is no such page.", error_class="http_status", retryable=False)
    return ExecutionResult({"done": True}, [a_file(workspace)])


async def a_screenshot(job: Job, workspace: Workspace) -> ExecutionResult:
    """Return a picture."""
    path = workspace.folder / "screen.png"
    path.write_bytes(b"not really a picture")
    return ExecutionResult({}, [ArtifactFile("screen.png", "image/png", path)])


def metadata_of(result: dg.ExecuteInProcessResult, op: str) -> dict[str, Any]:
    """Return the metadata of an op's output."""
    [output] = [event for event in result.events_for_node(op) if event.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def test_the_run_succeeds_if_jobs_fail(runs: Runs, queue: Queue, install: Installed) -> None:
    """With two succeeded jobs and a dead-lettered one, the run succeeds, and its id is on the jobs."""
    install(FakeExecutor(odd_ones_fail))
    well, odd = [add(queue), add(queue)], add(queue, payload={"odd": True})

    result = runs.run()

    assert result.success
    assert [job.document["status"] for job in queue.get_jobs([*well, odd])] == ["succeeded", "succeeded", "failed"]
    assert {job.document["dagster_run_id"] for job in queue.get_jobs(well)} == {result.run_id}
    assert len(queue.list_dlq()) == 1
    [worker] = queue.list_workers()
    assert (worker.document["dagster_run_id"], worker.document["alive"]) == (result.run_id, False)


def test_each_op_reports_its_stage(runs: Runs, queue: Queue, install: Installed) -> None:
    """The output of each op has the counts, times and sizes of its stage."""
    install(FakeExecutor(odd_ones_fail))
    add(queue)
    add(queue)
    add(queue, payload={"odd": True})

    result = runs.run()

    assert metadata_of(result, "claim_jobs") == {"claimed": 3}
    executed = metadata_of(result, "execute_jobs")
    assert (executed["succeeded"], executed["failed"]) == (2, 1)
    assert 0 <= executed["run_seconds_p50"] <= executed["run_seconds_p95"]
    uploaded = metadata_of(result, "upload_artifacts")
    assert uploaded == {"settled": 3, "lease_lost": 0, "artifacts": 2, "artifact_bytes": 10}


def test_each_line_of_the_log_is_of_the_op_of_its_stage(runs: Runs, queue: Queue, install: Installed) -> None:
    """Executions and uploads are lines of their ops, although claim_jobs follows when they happen."""
    install(FakeExecutor(odd_ones_fail))
    job = add(queue, payload={"odd": True})
    result = runs.run()
    lines = [entry for entry in runs.instance.all_logs(result.run_id) if str(job) in entry.user_message]
    op_of = {" ".join(entry.user_message.split(str(job))[1].split()[:2]): entry.step_key for entry in lines}
    assert op_of[", attempt"] == "claim_jobs"
    assert op_of["failed after"] == "execute_jobs"
    assert op_of["is now"] == "upload_artifacts"
    assert [step.markers for step in runs.instance.get_run_step_stats(result.run_id)] == [[]] * len(OPS)


def observations(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> list[dict[str, Any]]:
    """Return the metadata of the observations of an asset, in order."""
    events = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    seen = [event.asset_observation_data.asset_observation for event in events]
    return [{name: value.value for name, value in one.metadata.items()} for one in seen if one.asset_key == key]


def table_of(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the rows of the table of jobs, without its header."""
    [run] = observations(result, asset_keys.JOBS)
    rows: list[str] = run["jobs"].splitlines()[2:]
    return rows


def test_the_run_is_an_observation_of_the_jobs_table(runs: Runs, queue: Queue, install: Installed) -> None:
    """It has the counters, rounded numbers, and a Markdown table with links, failed jobs first."""
    install(FakeExecutor(odd_ones_fail))
    odd, well = add(queue, payload={"odd": True, "url": "https://a.example/x|y"}), add(queue)

    result = runs.run()

    assert result.asset_materializations_for_node("upload_artifacts") == []
    [run] = observations(result, asset_keys.JOBS)
    assert (run["succeeded"], run["failed"], run["ended_because"]) == (1, 1, "drained")
    assert run["elapsed_seconds"] == round(run["elapsed_seconds"], 3)
    first, second = table_of(result)
    assert first.startswith(f"| [{str(odd)[-8:]}]({WEB}/dashboard/jobs/{odd}) | ")
    assert "`https://a.example/x\\|y` | `There is no such page.` |" in first
    assert f"/dashboard/jobs/{well}) | " in second


def test_the_checks_of_the_queue_outlive_a_run(
    runs: Runs, queue: Queue, cogo: CogoResource, install: Installed
) -> None:
    """No materialization of queue/jobs follows the checks, after which Dagster would show them as not evaluated."""
    install(FakeExecutor())
    checked = defs.resolve_job_def("check_health").execute_in_process(
        instance=runs.instance, resources={"cogo": cogo}, raise_on_error=False
    )
    assert checked.success
    add(queue)
    assert runs.run().success
    assert runs.instance.get_latest_materialization_event(asset_keys.JOBS) is None


def test_a_page_leads_to_its_screenshot_day_and_week(runs: Runs, queue: Queue, install: Installed) -> None:
    """A job with a URL is an observation of queue/pages, with links; its files are links of queue/artifacts."""
    install(FakeExecutor(a_screenshot))
    job = add(queue, payload={"url": "https://shop.example/"})

    result = runs.run()

    [page] = observations(result, asset_keys.PAGES)
    [row] = queue.list_artifacts(job_id=job)
    content = f"{WEB}/api/artifacts/{row.id}/content"
    assert (page["status"], page["job"], page["screenshot"]) == ("succeeded", f"{WEB}/dashboard/jobs/{job}", content)
    day, monday = page["day"].partition("?partition=")[2], page["week"].partition("?partition=")[2]
    assert page["day"].startswith("http://127.0.0.1:3000/assets/gate_snapshot?")
    assert date.fromisoformat(monday) <= date.fromisoformat(day) < date.fromisoformat(monday) + timedelta(days=7)
    [files] = observations(result, asset_keys.ARTIFACTS)
    assert files["screen.png"] == content


def test_a_gate_job_is_an_observation_of_its_gate_run(
    runs: Runs, queue: Queue, install: Installed, transport: Transport
) -> None:
    """Gate runs of the run's jobs are observations with branch, commit, job, day and week; other runs are not."""

    def record(status: str, **more: str) -> None:
        run = {"gate_run_id": str(uuid4()), "type": "gate", "status": status, "branch": "main", "commit_sha": "a" * 40}
        transport.call("record_gate_run", {"run": {**run, **more}})

    async def evaluate(job: Job, workspace: Workspace) -> ExecutionResult:
        record("fail", job_id=str(job.id))
        return ExecutionResult()

    install(FakeExecutor(evaluate, family="gate"))
    record("pass")
    job = add(queue, "gate", payload={"repository": "web", "branch": "main"})

    result = runs.run()

    [run] = observations(result, asset_keys.GATE_RUNS)
    assert (run["status"], run["branch"], run["job"]) == ("fail", "main", f"{WEB}/dashboard/jobs/{job}")
    assert {"day", "week"} <= run.keys()
    assert "| `web main` | " in table_of(result)[0]


def test_a_run_has_tags_with_its_counts(runs: Runs, queue: Queue, install: Installed) -> None:
    """The tags in the list of runs are the counters of the observation: failed jobs, not failed attempts."""

    async def fail(job: Job, workspace: Workspace) -> ExecutionResult:
        raise ExecutionFailed("It is busy.", error_class="busy", retryable=True)

    install(FakeExecutor(fail))
    for attempts in (1, 3, 3):
        add(queue, max_attempts=attempts)
    result = runs.run()
    run = runs.instance.get_run_by_id(result.run_id)
    assert run is not None
    [work] = observations(result, asset_keys.JOBS)
    assert run.tags["cogo/worker"] == "run"
    counts = {name: int(run.tags[f"cogo/{name}"]) for name in ("claimed", "failed", "retried")}
    assert counts == {"claimed": 3, "failed": 1, "retried": 2} == {name: work[name] for name in counts}


def test_failed_jobs_are_warnings_in_the_log(runs: Runs, queue: Queue, install: Installed) -> None:
    """A failed job is logged as a warning with its error; other jobs are not."""
    install(FakeExecutor(odd_ones_fail))
    well, odd = add(queue), add(queue, payload={"odd": True})
    warnings = runs.lines(runs.run(), logging.WARNING)
    assert any(str(odd) in line and "There is no such page." in line for line in warnings)
    assert not any(str(well) in line for line in warnings)


def test_many_quick_jobs_leave_few_events(runs: Runs, queue: Queue, install: Installed) -> None:
    """500 quick jobs are counted and sampled in the log; the table has the last 200."""
    install(FakeExecutor())
    for _ in range(500):
        add(queue)

    result = runs.run(concurrency=50)

    assert metadata_of(result, "upload_artifacts")["settled"] == 500
    assert len(runs.instance.all_logs(result.run_id)) < 150
    assert len(table_of(result)) == 200


@pytest.mark.parametrize("ops", [OPS[:1], OPS[:2], OPS[1:], OPS[2:]], ids="+".join)
def test_a_subset_of_the_ops_is_rejected(runs: Runs, queue: Queue, install: Installed, ops: list[str]) -> None:
    """The run fails with a message that says what to launch, and claims nothing."""
    executor = FakeExecutor()
    install(executor)
    job = add(queue)
    result = runs.run(ops)
    assert not result.success
    [failure] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    error = failure.step_failure_data.error
    assert error is not None
    assert "launch the whole job" in (error.cause or error).message
    assert (look(queue, job)["attempts"], executor.ran) == (0, [])


def test_the_run_config_is_applied(runs: Runs, queue: Queue, install: Installed) -> None:
    """The run respects max_jobs and concurrency."""
    executor = FakeExecutor()
    install(executor)
    for _ in range(9):
        add(queue)
    result = runs.run(max_jobs=5, concurrency=2)
    [run] = observations(result, asset_keys.JOBS)
    assert run["ended_because"] == "max_jobs"
    assert len(executor.ran) == 5
    assert executor.max_running <= 2
    assert queue.stats().document["ready"] == 4


def test_a_worker_that_cannot_start_fails_the_run(runs: Runs, queue: Queue, install: Installed) -> None:
    """An error at the start of an executor fails the op claim_jobs, and no job is claimed."""

    class Broken(FakeExecutor):
        async def start(self) -> None:
            raise RuntimeError("There is no browser: install one.")

    install(Broken())
    job = add(queue)
    result = runs.run()
    assert not result.success
    failed = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert [event.step_key for event in failed] == ["claim_jobs"]
    assert "There is no browser" in str(failed[0].step_failure_data.error)
    assert look(queue, job)["attempts"] == 0


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_an_interrupted_run_requeues_its_jobs(
    runs: Runs,
    queue: Queue,
    install: Installed,
    monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
) -> None:
    """Before the run ends, its running job is queued again, without a lease and with its attempt given back."""
    gate = Gate()
    install(FakeExecutor(gate))
    job = add(queue)

    def follow(engine: WorkerThread, stage: Stage) -> Iterator[WorkerEvent]:
        gate.arrived()
        raise interruption

    monkeypatch.setattr(WorkerThread, "follow", follow)
    assert not runs.run().success
    row = look(queue, job)
    assert (row["status"], row["attempts"], row["lease_expires_at"]) == ("queued", 0, None)
    assert [held.id for held in gate.cancelled] == [job]
    assert [worker.document["alive"] for worker in queue.list_workers()] == [False]


def test_recover_leases_recovers_expired_leases(
    instance: dg.DagsterInstance, resources: dict[str, object], queue: Queue, age: Age
) -> None:
    """The Dagster job counts in a dry run, and recovers otherwise."""
    job = running_job(queue)
    age(job, 3600)
    for dry_run, status in [(True, "running"), (False, "queued")]:
        result = recover_leases.execute_in_process(
            instance=instance,
            resources={"cogo": resources["cogo"]},
            run_config={"ops": {"recover_leases": {"config": {"dry_run": dry_run}}}},
        )
        shown = metadata_of(result, "recover_leases")
        assert (shown["matched"], shown["changed"]) == (1, 0 if dry_run else 1)
        assert look(queue, job)["status"] == status


class WorkerStuck(Exception):
    """Raised by the worker if its claim loop is stuck."""


def test_a_stuck_worker_fails_the_run(
    runs: Runs, queue: Queue, install: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with the worker's message, without waiting for its blocked thread."""
    never = threading.Event()

    async def stuck(worker: Worker) -> None:
        asyncio.get_running_loop().run_in_executor(None, never.wait)
        raise WorkerStuck("No job was claimed for 60 s although the database answers.")

    install(FakeExecutor())
    monkeypatch.setattr(Worker, "run", stuck)
    result = runs.run()
    never.set()
    assert not result.success
    [failed] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert failed.step_key == "claim_jobs"
    assert "WorkerStuck: No job was claimed for 60 s" in str(failed.step_failure_data.error)


def test_a_run_is_tagged_with_its_deployment_and_runtime(runs: Runs, queue: Queue, install: Installed) -> None:
    """The maximum runtime is the sum of run_seconds, the longest job, the grace period and a margin."""
    install(FakeExecutor())
    run = runs.instance.get_run_by_id(runs.run(run_seconds=60).run_id)
    assert run is not None
    assert run.tags["cogo/deployment"] == str(queue.schema_version().document["deployment_id"])
    assert int(run.tags["dagster/max_runtime"]) >= 60 + 86_400 + 5
