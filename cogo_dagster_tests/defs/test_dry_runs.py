"""Dry runs of the Dagster jobs change no row of the queue and delete no run."""

from typing import Final

import dagster as dg
import pytest

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.queue.scenes import one_of_each
from cogo_dagster_tests.rows import every_row

CONFIGS: Final[dict[str, Json]] = {
    "retry_failed": {},
    "replay_dlq": {},
    "discard_dlq": {"reason": "gone"},
    "recover_leases": {},
    "cleanup_artifacts": {"ttl_days": 0},
    "purge_jobs": {"ttl_days": 0, "statuses": ["succeeded", "cancelled", "failed"]},
    "prune_event_log": {"keep_days": 1},
}


def test_every_job_with_a_dry_run_is_listed() -> None:
    """CONFIGS contains all Dagster jobs with an option `dry_run`."""
    assert set(CONFIGS) == {job.name for job in defs.resolve_all_job_defs() if _op_with_dry_run(job)}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_dry_run_changes_no_table(
    instance: dg.DagsterInstance, cogo: CogoResource, queue: Queue, owner: Owner, name: str
) -> None:
    """The dry run changes nothing; the real run does, except for pruning, which concerns Dagster's own tables."""
    one_of_each(queue, owner)
    before = every_row(owner)
    _run(instance, cogo, name, dry_run=True)
    assert every_row(owner) == before
    _run(instance, cogo, name, dry_run=False)
    assert (every_row(owner) != before) is (name != "prune_event_log")


def _run(instance: dg.DagsterInstance, cogo: CogoResource, name: str, *, dry_run: bool) -> None:
    job = defs.resolve_job_def(name)
    config = {"ops": {_op_with_dry_run(job): {"config": CONFIGS[name] | {"dry_run": dry_run}}}}
    runs = {run.run_id for run in instance.get_runs()}
    assert job.execute_in_process(instance=instance, run_config=config, resources={"cogo": cogo}).success
    assert runs <= {run.run_id for run in instance.get_runs()}


def _op_with_dry_run(job: dg.JobDefinition) -> str:
    """Return the name of the op with an option `dry_run`, or an empty string."""
    for node in job.nodes:
        definition = node.definition
        if isinstance(definition, dg.OpDefinition):
            fields = getattr(definition.config_schema.config_type, "fields", None) or {}
            if "dry_run" in fields:
                return node.name
    return ""
