"""Ends runs whose process has ended while Dagster shows them as running."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.worker_runs import (
    DEPLOYMENT_TAG,
    begun_runs,
    living_workers,
    newest_workers,
    with_workers,
)
from cogo_dagster.supervision.zombies import Watch, WorkerRun

_BEGUN: Final = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_zombies(
    instance: dg.DagsterInstance, cogo: CogoResource, watch: Watch, now: float | None = None
) -> tuple[Watch, list[str]]:
    """Check all runs once.

    Args:
        watch: State of the previous checks.
        now: Seconds since the epoch; default: the current time.

    Returns:
        The state for the next check, and the IDs of the runs that were ended.
    """
    records = _own(begun_runs(instance, _BEGUN), str(cogo.queue.schema_version().deployment_id))
    workers = [*living_workers(cogo.queue), *newest_workers(cogo.queue)] if records else []
    moment = datetime.now(UTC).timestamp() if now is None else now
    watch, dead = watch.observe(with_workers(records, workers), moment)
    return watch, [run.run_id for run in dead if _end(instance, run)]


def _own(records: list[RunRecord], deployment_id: str) -> list[RunRecord]:
    # The worker of another deployment's run is registered in that deployment's queue.
    return [record for record in records if record.dagster_run.tags.get(DEPLOYMENT_TAG, deployment_id) == deployment_id]


def _end(instance: dg.DagsterInstance, dead: WorkerRun) -> bool:
    run = instance.get_run_by_id(dead.run_id)
    if run is None or run.status not in _BEGUN:
        return False  # the run has ended in the meantime
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "The process of the run ended before it reported the cancellation.")
        return True
    if dead.last_heartbeat_at is None:
        message = "No worker was registered: the process of the run ended, or cannot reach the queue's database."
    else:
        message = f"No heartbeat of the worker since {dead.last_heartbeat_at}: its process or its machine has stopped."
    instance.report_run_failed(run, f"{message} Its jobs are requeued when their leases expire.")
    return True
