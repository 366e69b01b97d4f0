"""The one `dg.Definitions`: everything Dagster shows and runs."""

import dagster as dg

from cogo_dagster.defs.alerts import deliver_alerts, run_failure, undelivered_alerts
from cogo_dagster.defs.checks import gate_q1, queue_checks
from cogo_dagster.defs.gate import (
    check_health,
    gate_snapshot,
    provider_health,
    snapshot_gate,
    sources,
    summarize_week,
    weekly_message,
    weekly_summary,
)
from cogo_dagster.defs.gate_schedules import hourly_health, nightly_gate_snapshot, weekly_enqueue
from cogo_dagster.defs.inspect import inspect_job
from cogo_dagster.defs.jobs import process_jobs
from cogo_dagster.defs.operators import cleanup_artifacts, purge_jobs, recover_leases, replay_dlq, retry_failed
from cogo_dagster.defs.pruning import nightly_pruning, prune_event_log
from cogo_dagster.defs.resources import CogoResource, WorkerResource
from cogo_dagster.defs.sensors import dlq_replay, expired_leases, ready_jobs
from cogo_dagster.defs.zombies import zombie_runs

cogo = CogoResource()

defs = dg.Definitions(
    assets=[*sources, provider_health, gate_snapshot, weekly_summary, weekly_message],
    asset_checks=[gate_q1, *queue_checks],
    jobs=[
        process_jobs,
        inspect_job,
        replay_dlq,
        retry_failed,
        recover_leases,
        cleanup_artifacts,
        purge_jobs,
        deliver_alerts,
        prune_event_log,
        snapshot_gate,
        summarize_week,
        check_health,
    ],
    schedules=[nightly_gate_snapshot, weekly_enqueue, hourly_health, nightly_pruning],
    sensors=[ready_jobs, expired_leases, dlq_replay, zombie_runs, run_failure, undelivered_alerts],
    resources={"cogo": cogo, "worker": WorkerResource(cogo=cogo)},
)
