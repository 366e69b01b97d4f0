"""Ends runs whose process is gone although Dagster says that they work."""

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
    """Take one look.

    Args:
        watch: What the looks before have seen.
        now: Seconds since 1970; this moment if left out.

    Returns:
        What to remember, and the ids of the runs that were ended.
    """
    records = _own(begun_runs(instance, _BEGUN), str(cogo.queue.schema_version()["deployment_id"]))
    workers = [*living_workers(cogo.queue), *newest_workers(cogo.queue)] if records else []
    moment = datetime.now(UTC).timestamp() if now is None else now
    watch, dead = watch.look(with_workers(records, workers), moment)
    return watch, [run.run_id for run in dead if _end(instance, run)]


def _own(records: list[RunRecord], deployment_id: str) -> list[RunRecord]:
    # A run of another queue that shares Dagster's storage has its worker there, and none that we could see.
    return [record for record in records if record.dagster_run.tags.get(DEPLOYMENT_TAG, deployment_id) == deployment_id]


def _end(instance: dg.DagsterInstance, dead: WorkerRun) -> bool:
    run = instance.get_run_by_id(dead.run_id)
    if run is None or run.status not in _BEGUN:
        return False  # it has ended meanwhile
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "Its process ended before it could say that it is canceled.")
        return True
    if dead.last_heartbeat_at is None:
        sentence = "It has not registered a worker: its process ended, or cannot reach the queue's database."
    else:
        sentence = f"Its worker is silent since {dead.last_heartbeat_at}: its process or its machine is gone."
    instance.report_run_failed(run, f"{sentence} Its jobs come back by themselves.")
    return True
