"""The Dagster job that is a worker."""

import dagster as dg

from cogo_dagster.defs.hooks import HOOKS
from cogo_dagster.defs.ops import DEFAULT_RUN_SECONDS, claim_jobs, execute_jobs, upload_artifacts
from cogo_dagster.defs.run_status import max_runtime
from cogo_dagster.defs.worker_runs import LONGEST_GRACE_SECONDS, PROCESS_JOBS, max_runtime_seconds


@dg.job(
    name=PROCESS_JOBS,
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
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
