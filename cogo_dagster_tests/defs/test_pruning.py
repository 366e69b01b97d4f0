"""Dagster's own event log is pruned by age."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunsTable

from cogo_dagster.defs.pruning import prune_event_log
from cogo_dagster.defs.resources import CogoResource


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def a_job() -> None:
    """Leave a run."""
    nothing()


def run_aged(instance: dg.DagsterInstance, days: int) -> str:
    """Leave a finished run that was created so many days ago; return its id."""
    run_id = a_job.execute_in_process(instance=instance).run_id
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    created = (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None)
    with storage.connect() as connection:
        connection.execute(RunsTable.update().where(RunsTable.c.run_id == run_id).values(create_timestamp=created))
    return run_id


def prune(instance: dg.DagsterInstance, cogo: CogoResource, **config: object) -> None:
    """Run the pruning to its end."""
    ops = {"delete_old_runs": {"config": config}}
    done = prune_event_log.execute_in_process(instance=instance, run_config={"ops": ops}, resources={"cogo": cogo})
    assert done.success


def test_only_old_runs_go(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """A run of three weeks goes with its events, one of yesterday stays; a dry run deletes nothing."""
    old, young = run_aged(instance, 21), run_aged(instance, 1)
    prune(instance, cogo, keep_days=14, dry_run=True)
    assert instance.has_run(old)
    prune(instance, cogo, keep_days=14)
    assert not instance.has_run(old)
    assert instance.all_logs(old) == []
    assert instance.has_run(young)
