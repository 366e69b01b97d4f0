"""`inspect_job` runs chosen jobs step by step."""

import dagster as dg

from cogo_dagster.defs.queue.jobs import inspect_job
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster_tests.defs.conftest import Installed
from cogo_dagster_tests.queue.steps import add, look, running_job
from cogo_dagster_tests.worker.executors import FakeExecutor, a_file


def run(instance: dg.DagsterInstance, resources: dict[str, object], *job_ids: object) -> dg.ExecuteInProcessResult:
    """Run inspect_job for some jobs."""
    return inspect_job.execute_in_process(
        instance=instance,
        resources=resources,
        run_config={
            "ops": {"claim_chosen": {"config": {"job_ids": [str(job_id) for job_id in job_ids]}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )


async def leave_a_file(job: Job, workspace: Workspace) -> ExecutionResult:
    """Return one file, or fail if the payload says so."""
    if job.payload.get("odd"):
        raise ExecutionFailed("odd", error_class="odd", retryable=False)
    return ExecutionResult({"seen": True}, [a_file(workspace)])


def test_chosen_jobs_run_one_chain_after_another(
    instance: dg.DagsterInstance, resources: dict[str, object], install: Installed, queue: Queue
) -> None:
    """Only chosen jobs run, due or not; each is uploaded before the next one is executed."""
    install(FakeExecutor(leave_a_file))
    later, odd, other = add(queue, run_in_seconds=3600), add(queue, payload={"odd": True}), add(queue)

    result = run(instance, resources, later, odd)

    assert result.success
    steps = [(event.step_key or "").partition("[")[0] for event in result.all_events if event.is_step_success]
    assert steps == ["claim_chosen", "execute_one", "upload_one", "execute_one", "upload_one"]
    assert [look(queue, job)["status"] for job in (later, odd, other)] == ["succeeded", "failed", "queued"]
    assert len(look(queue, later)["artifacts"]) == 1


def test_jobs_that_are_not_queued_are_skipped(
    instance: dg.DagsterInstance, resources: dict[str, object], install: Installed, queue: Queue
) -> None:
    """A running job keeps its lease, and a run without a queued job fails."""
    install(FakeExecutor(leave_a_file))
    running = running_job(queue)

    result = run(instance, resources, running.id)

    assert not result.success
    assert look(queue, running.id)["lease_expires_at"] is not None
    assert not run(instance, resources).success  # without jobs
