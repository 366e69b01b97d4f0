"""The one `dg.Definitions`: everything Dagster shows and runs."""

import dagster as dg

from cogo_dagster.defs.inspect import inspect_job
from cogo_dagster.defs.jobs import process_jobs, recover_leases
from cogo_dagster.defs.pruning import nightly_pruning, prune_event_log
from cogo_dagster.defs.resources import CogoResource, WorkerResource
from cogo_dagster.defs.sensors import expired_leases, ready_jobs

cogo = CogoResource()

defs = dg.Definitions(
    jobs=[process_jobs, inspect_job, recover_leases, prune_event_log],
    schedules=[nightly_pruning],
    sensors=[ready_jobs, expired_leases],
    resources={"cogo": cogo, "worker": WorkerResource(cogo=cogo)},
)
