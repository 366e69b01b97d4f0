"""Registration, heartbeats, and cleanup of what other workers left."""

from pathlib import Path
from uuid import uuid4

from cogo_dagster.queue.artifacts import upload_artifacts
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import ExecutionFailed, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Json
from cogo_dagster.queue.worker import EventKind
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import add, add_all, look, take
from cogo_dagster_tests.worker.bench import Bench, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, Gate


async def as_requested(job: Job, workspace: Workspace) -> ExecutionResult:
    """End as the payload says."""
    match job.payload.get("end"):
        case "retry":
            raise ExecutionFailed("again", error_class="again", retryable=True)
        case "fail":
            raise ExecutionFailed("never", error_class="never", retryable=False)
        case "snooze":
            raise Snooze("later", delay_seconds=60)
    return ExecutionResult()


def metrics_of(owner: Owner, identity: WorkerIdentity) -> tuple[Json, Json]:
    """Return the counters and the histogram of one worker."""
    row = owner.execute(
        "select counters, latency from public.worker_metrics where instance_id = %s", (identity.instance_id,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_counters_equal_the_outcomes(bench: Bench, queue: Queue, owner: Owner) -> None:
    """Each outcome is counted once, and the histogram's sum is the number of executions."""
    for end, count in {"well": 5, "retry": 3, "fail": 2, "snooze": 1}.items():
        for _ in range(count):
            add(queue, payload={"end": end})
    identity = WorkerIdentity("counting", uuid4())

    report = bench.drain(FakeExecutor(as_requested), identity=identity)

    expected = {"claimed": 11, "succeeded": 5, "retried": 3, "failed": 2, "snoozed": 1}
    assert {name: n for name, n in report.counters.items() if n} == expected
    counters, latency = metrics_of(owner, identity)
    assert {name: n for name, n in counters.items() if n} == expected
    assert sum(latency["counts"]) == 11
    assert len(latency["counts"]) == len(latency["bounds_seconds"]) + 1
    assert latency["sum_seconds"] >= 0


def test_a_worker_registers_itself_and_its_device(bench: Bench, queue: Queue, owner: Owner) -> None:
    """The row has the worker's ID, families and machine; so does the row of its executor."""
    identity = WorkerIdentity("desk", uuid4(), "desk-1", "a-run")
    bench.drain(FakeExecutor(family="gate"), FakeExecutor(family="figma"), identity=identity, concurrency=3)
    [worker] = queue.list_workers()
    found = (
        worker.document["worker_id"],
        worker.document["executor_id"],
        worker.document["dagster_run_id"],
        worker.document["concurrency"],
    )
    assert found == ("desk", "desk-1", "a-run", 3)
    assert sorted(worker.document["families"]) == ["figma", "gate"]
    assert worker.document["instance_id"] == str(identity.instance_id)
    assert {"hostname", "platform", "python", "cpu_count"} <= worker.document["device"].keys()
    assert owner.execute("select id from public.executors").fetchall() == [("desk-1",)]


def test_heartbeats_report_running_jobs(bench: Bench, queue: Queue) -> None:
    """While two jobs run, heartbeats report two; the last one reports none."""
    gate = Gate()
    add_all(queue, 2)
    with bench.running(FakeExecutor(gate), heartbeat_seconds=0.1, max_jobs=2) as running:
        gate.arrived(), gate.arrived()
        eventually(
            lambda: [beat.document["running"] for beat in queue.list_heartbeats()][:1] == [2],
            "a heartbeat reported both",
        )
        gate.open()
        running.report()
    beats = queue.list_heartbeats()
    assert beats[0].document["running"] == 0
    assert beats[0].document["counters"]["succeeded"] == 2
    assert {beat.document["worker_id"] for beat in beats} == {"worker"}


def test_an_unknown_worker_registers_again(bench: Bench, queue: Queue, owner: Owner) -> None:
    """After its row was deleted, the next heartbeat creates it again, for the same instance."""
    with bench.running(FakeExecutor(), heartbeat_seconds=0.1) as running:
        eventually(lambda: queue.list_workers(alive_only=True), "the worker registered")
        owner.execute("delete from public.workers")
        eventually(lambda: queue.list_workers(alive_only=True), "the worker registered again")
        [worker] = queue.list_workers()
        assert worker.document["instance_id"] == str(running.identity.instance_id)


def is_stored(bench: Bench, row: Json) -> bool:
    """Return whether the store has the object of an artifact."""
    return row["storage_key"] in set(bench.store.keys(older_than_seconds=-60))


def test_lost_artifacts_are_swept(bench: Bench, queue: Queue, tmp_path: Path, age: Age, owner: Owner) -> None:
    """The recovered job's artifacts are orphaned, and after the grace period row and object are deleted."""
    job = add(queue, "gate")
    [dead] = take(queue, 1, families=["gate"])
    file = tmp_path / "half.txt"
    file.write_text("half done")
    [row] = upload_artifacts(queue, bench.store, dead, [ArtifactFile("half.txt", "text/plain", file)])
    assert is_stored(bench, row)
    age(job, 3600)

    with bench.running(FakeExecutor(), recover_seconds=0.1, sweep_seconds=0.1) as running:
        eventually(lambda: running.events_of(EventKind.RECOVERED), "the job was recovered")
        assert [row.document["status"] for row in queue.list_artifacts()] == ["orphaned"]
        assert is_stored(bench, row), "It is younger than the grace."
        owner.execute("update public.artifacts set created_at = created_at - interval '1 hour'")
        eventually(lambda: not queue.list_artifacts(), "the row was swept")
    assert not is_stored(bench, row)
    assert (look(queue, job)["status"], look(queue, job)["attempts"]) == ("queued", 1)


def test_a_worker_stores_the_numbers_of_finished_jobs(bench: Bench, owner: Owner) -> None:
    """It does so at each sweep, for periods that ended."""
    owner.execute("insert into public.job_period_marks values (now(), '3')")
    owner.execute(
        "insert into public.jobs (type, status, attempts, lease_token, finished_at) "
        "values ('browser', 'succeeded', 1, gen_random_uuid(), now() - interval '1 hour')"
    )
    stored = "select coalesce(sum(succeeded), 0) from public.job_periods"
    with bench.running(FakeExecutor(), sweep_seconds=0.1):
        eventually(lambda: owner.execute(stored.encode()).fetchone() == (1,), "the period was stored")
