"""The stages of `process_jobs` as ops over one worker.

    claim_jobs → execute_jobs → upload_artifacts

The stages of the worker run concurrently; each op follows one stage to its end and reports it. The current op logs the
events of all stages, each as a line of the op of its stage, so that the page of the run is up to date.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.launches import RejectedLaunch
from cogo_dagster.dagster_support.lineage import gate_run_observation
from cogo_dagster.dagster_support.reporting import WORKER_TAG, RunReport
from cogo_dagster.dagster_support.resources import WorkerResource
from cogo_dagster.dagster_support.run_status import max_runtime
from cogo_dagster.dagster_support.worker_runs import (
    DEPLOYMENT_TAG,
    READY_JOBS,
    SENSOR_TAG,
    max_runtime_seconds,
    under_way,
)
from cogo_dagster.queue.worker import Stage
from cogo_dagster.supervision.capacity import is_surplus

DEFAULT_RUN_SECONDS: Final = 1_800.0

_WHOLE_ONLY: Final = (
    "The ops of process_jobs cannot run separately: launch the whole job, with the in-process executor."
)


class ProcessJobsConfig(dg.Config):
    """Limits of a run."""

    max_jobs: int | None = Field(None, ge=1, description="Maximum number of jobs; default: MAX_JOBS.")
    concurrency: int | None = Field(None, ge=1, le=1000, description="Number of slots; default: COGO_CONCURRENCY.")
    linger_seconds: float = Field(60, ge=0, description="End after the queue has been empty for this long.")
    run_seconds: float = Field(
        DEFAULT_RUN_SECONDS, gt=0, description="Stop claiming after this long; another run takes over."
    )


@dg.op(
    out=dg.Out(dg.Nothing, is_required=False),
    description="Start the worker and claim due jobs until the queue stays empty or a limit is reached.",
)
def claim_jobs(
    context: dg.OpExecutionContext, config: ProcessJobsConfig, worker: WorkerResource
) -> Iterator[dg.Output[None]]:
    """Follow the claim stage. A run in excess of COGO_MAX_WORKERS ends immediately, and its other ops are skipped."""
    _require_all_stages(context)
    max_workers = worker.settings.max_workers
    if context.run.tags.get(SENSOR_TAG) == READY_JOBS and is_surplus(
        context.run_id, under_way(context.instance, worker.queue), max_workers
    ):
        context.log.info("The run ends: COGO_MAX_WORKERS is %d, and that many older runs are active.", max_workers)
        return
    _tag(context, config, worker)
    given: dict[str, Any] = {"max_jobs": config.max_jobs, "concurrency": config.concurrency}
    options = replace(
        worker.default_options(),
        linger_seconds=config.linger_seconds,
        run_seconds=config.run_seconds,
        **{name: value for name, value in given.items() if value is not None},
    )
    worker.start(options, context.run_id)
    yield _follow(context, worker, Stage.CLAIM)


@dg.op(ins={"claimed": dg.In(dg.Nothing)}, description="Follow the executions to the end and report the outcomes.")
def execute_jobs(context: dg.OpExecutionContext, worker: WorkerResource) -> dg.Output[None]:
    """Follow the execution stage."""
    return _follow(context, worker, Stage.EXECUTE)


@dg.op(
    ins={"executed": dg.In(dg.Nothing)}, description="Follow uploads and settlements to the end; report the whole run."
)
def upload_artifacts(context: dg.OpExecutionContext, worker: WorkerResource) -> dg.Output[None]:
    """Follow the upload stage, then report gate runs, and the run as an observation of the jobs table."""
    output = _follow(context, worker, Stage.UPLOAD)
    report = worker.thread.report()
    for run in worker.gate_runs(report.elapsed_seconds):
        context.log_event(gate_run_observation(worker.settings, run))
    context.log_event(worker.run_report.observation(report))
    return output


def _tag(context: dg.OpExecutionContext, config: ProcessJobsConfig, worker: WorkerResource) -> None:
    """Tag the run with its deployment, and with its maximum runtime, which ends it even if its worker is lost."""
    seconds = max_runtime_seconds(config.run_seconds, worker.settings.grace_seconds)
    deployment_id = str(worker.queue.schema_version().deployment_id)
    tags = {DEPLOYMENT_TAG: deployment_id, WORKER_TAG: worker.settings.worker_id, **max_runtime(seconds)}
    context.instance.add_run_tags(context.run_id, tags)


def _require_all_stages(context: dg.OpExecutionContext) -> None:
    """Check that all ops of the job run: a single op would claim jobs and not finish them."""
    chosen = set(context.run.step_keys_to_execute or (node.name for node in context.job_def.nodes))
    if not {claim_jobs.name, execute_jobs.name, upload_artifacts.name} <= chosen:
        raise RejectedLaunch(_WHOLE_ONLY)


def _follow(context: dg.OpExecutionContext, worker: WorkerResource, stage: Stage) -> dg.Output[None]:
    if not worker.thread.started:
        raise RejectedLaunch(_WHOLE_ONLY)
    report: RunReport = worker.run_report
    for event in worker.thread.follow(stage):
        report.report(context, event)
    return dg.Output(None, metadata=report.stage_metadata(stage))
