"""The Dagster job that is a worker, and the one that runs chosen jobs step by step."""

import dagster as dg

from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.jobs import OWNERS
from cogo_dagster.dagster_support.run_status import max_runtime
from cogo_dagster.dagster_support.worker_runs import (
    LONGEST_GRACE_SECONDS,
    LONGEST_JOB_SECONDS,
    PROCESS_JOBS,
    max_runtime_seconds,
)
from cogo_dagster.defs.queue.inspect_ops import claim_chosen, execute_one, upload_one
from cogo_dagster.defs.queue.ops import DEFAULT_RUN_SECONDS, claim_jobs, execute_jobs, upload_artifacts


@dg.job(
    name=PROCESS_JOBS,
    hooks=HOOKS,
    owners=OWNERS,
    description=(
        "One worker: claims jobs from the queue, runs them and uploads their artifacts, until the queue has been "
        "empty for linger_seconds. Succeeds when the worker did its work, also when jobs failed."
    ),
    # The queue owns the retries: a run that is repeated would claim other jobs.
    tags={"dagster/max_retries": "0"} | max_runtime(max_runtime_seconds(DEFAULT_RUN_SECONDS, LONGEST_GRACE_SECONDS)),
)
def process_jobs() -> None:
    """claim_jobs → execute_jobs → upload_artifacts, over one worker."""
    upload_artifacts(execute_jobs(claim_jobs()))


@dg.job(
    hooks=HOOKS,
    owners=OWNERS,
    description="Run a few chosen jobs step by step, for looking closely.",
    tags={"dagster/max_retries": "0"} | max_runtime(2 * LONGEST_JOB_SECONDS),
)
def inspect_job() -> None:
    """claim_chosen → execute_one → upload_one, one chain per job."""
    claim_chosen().map(lambda job: upload_one(execute_one(job)))
