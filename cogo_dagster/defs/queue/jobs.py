"""The Dagster job that runs a worker, and the one that runs chosen jobs step by step."""

import dagster as dg

from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.run_status import max_runtime
from cogo_dagster.dagster_support.worker_runs import (
    MAX_GRACE_SECONDS,
    MAX_JOB_SECONDS,
    PROCESS_JOBS,
    max_runtime_seconds,
)
from cogo_dagster.defs.queue.inspect_ops import claim_chosen, execute_one, upload_one
from cogo_dagster.defs.queue.ops import DEFAULT_RUN_SECONDS, claim_jobs, execute_jobs, upload_artifacts


@dg.job(
    name=PROCESS_JOBS,
    hooks=HOOKS,
    description=(
        "A worker: claims jobs, runs them and uploads their artifacts, until the queue has been empty for "
        "linger_seconds. Succeeds if the worker did its work, even if jobs failed."
    ),
    # The queue retries jobs; a retried run would claim other jobs.
    tags={"dagster/max_retries": "0"} | max_runtime(max_runtime_seconds(DEFAULT_RUN_SECONDS, MAX_GRACE_SECONDS)),
)
def process_jobs() -> None:
    """claim_jobs → execute_jobs → upload_artifacts, over one worker."""
    upload_artifacts(execute_jobs(claim_jobs()))


@dg.job(
    hooks=HOOKS,
    description="Run a few chosen jobs step by step, to inspect them.",
    tags={"dagster/max_retries": "0"} | max_runtime(2 * MAX_JOB_SECONDS),
)
def inspect_job() -> None:
    """claim_chosen → execute_one → upload_one, one chain per job."""
    claim_chosen().map(lambda job: upload_one(execute_one(job)))
