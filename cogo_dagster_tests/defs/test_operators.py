"""The operators' Dagster jobs and the sensor dlq_replay."""

from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.operators.jobs import replay_dlq
from cogo_dagster.defs.operators.sensors import dlq_replay
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.defs.test_process_jobs import metadata_of
from cogo_dagster_tests.defs.test_sensors import Tick, keys, reason, tick
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import BROKEN, dead_letters, look, running_job, settle, take_one

__all__ = ["tick"]


class Operators:
    """Runs the operators' Dagster jobs."""

    def __init__(self, instance: dg.DagsterInstance, cogo: CogoResource) -> None:
        self._instance, self._cogo = instance, cogo

    def run(self, name: str, **config: Json) -> Any:
        """Run a Dagster job that must succeed; return the metadata of its op."""
        result = defs.resolve_job_def(name).execute_in_process(
            instance=self._instance,
            resources={"cogo": self._cogo},
            run_config={"ops": {name: {"config": config}}},
        )
        assert result.success
        return metadata_of(result, name)


@pytest.fixture
def operators(instance: dg.DagsterInstance, cogo: CogoResource) -> Operators:
    """Return a launcher on the test's database."""
    return Operators(instance, cogo)


@pytest.mark.parametrize("name", ["retry_failed", "purge_jobs"])
def test_retry_and_purge_are_dry_runs_by_default(operators: Operators, queue: Queue, name: str) -> None:
    """Without configuration, retry_failed and purge_jobs change nothing."""
    settle(queue, running_job(queue))
    failed_job(queue)
    shown = operators.run(name)
    assert (shown["dry_run"], shown["changed"]) == (True, 0)


def test_retry_failed_shows_its_counts(operators: Operators, queue: Queue) -> None:
    """The metadata has the counts, and the operations log names the run."""
    job_id = failed_job(queue, max_attempts=1)
    shown = operators.run("retry_failed", dry_run=False, reset_attempts=True)
    assert (shown["matched"], shown["changed"], shown["skipped"]) == (1, 1, 0)
    assert (look(queue, job_id)["status"], look(queue, job_id)["attempts"]) == ("queued", 0)
    [logged] = queue.list_operations()
    assert logged.document["actor"].startswith("Dagster run ")


def test_replay_dlq_shows_the_new_jobs(operators: Operators, queue: Queue) -> None:
    """The metadata has a row for each replayed job with the id of the new one."""
    old = failed_job(queue)
    shown = operators.run("replay_dlq")
    [made] = shown["items"]
    assert made["id"] == str(old)
    assert look(queue, UUID(made["job_id"]))["status"] == "queued"


def test_cleanup_and_purge_act(operators: Operators, queue: Queue, owner: Owner) -> None:
    """cleanup_artifacts and purge_jobs use the options of the commands."""
    settle(queue, running_job(queue))
    owner.execute("insert into public.artifacts (status, name, storage_key) values ('ready', 'page.png', 'jobs/x')")
    assert operators.run("purge_jobs", ttl_days=0, dry_run=False)["changed"] == 1
    assert operators.run("cleanup_artifacts", ttl_days=0, delete_storage=False)["changed"] == 1
    assert [row.document["status"] for row in queue.list_artifacts()] == ["expired"]


def test_the_sensor_is_stopped_by_default() -> None:
    """Automatic replays must be started by an operator."""
    assert dlq_replay.default_status is dg.DefaultSensorStatus.STOPPED


def test_the_sensor_replays_transient_failures(tick: Tick, operators: Operators, queue: Queue, owner: Owner) -> None:
    """After the cool-down, jobs with transient errors are replayed once, and no others."""
    transient = _out_of_attempts(queue)
    failed_job(queue)  # permanently
    assert reason(tick(dlq_replay, None)) == "2 open dead-lettered jobs, 1 with a transient error; none is due."
    owner.execute("update public.jobs_dlq set failed_at = failed_at - interval '1 h'")
    requested = tick(dlq_replay, None)
    assert keys(requested)[0].startswith("replay-")
    [request] = requested.run_requests or []
    config = request.run_config["ops"]["replay_dlq"]["config"]
    assert config == {"job_ids": [str(transient)], "skip_unfit": True}
    assert operators.run("replay_dlq", **config)["changed"] == 1
    assert keys(tick(dlq_replay, requested.cursor)) == []


def test_a_dead_replay_does_not_block_others(
    tick: Tick, queue: Queue, instance: dg.DagsterInstance, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A started run counts as running for its maximum runtime only, since its machine may have died."""
    _out_of_attempts(queue)
    owner.execute("update public.jobs_dlq set failed_at = failed_at - interval '1 h'")
    instance.create_run_for_job(replay_dlq, status=dg.DagsterRunStatus.STARTED)
    assert reason(tick(dlq_replay, None)) == "A replay is queued or running."
    monkeypatch.setattr("cogo_dagster.defs.operators.sensors.REPLAY_SECONDS", -1)
    assert len(keys(tick(dlq_replay, None))) == 1


def test_the_sensor_replays_a_job_twice_at_most(tick: Tick, operators: Operators, queue: Queue, owner: Owner) -> None:
    """A job that keeps failing is replayed twice; then it stays in the dead-letter queue."""
    _out_of_attempts(queue)
    cursor, launches = None, 0
    for _ in range(5):
        owner.execute("update public.jobs_dlq set failed_at = failed_at - interval '1 d'")
        requested = tick(dlq_replay, cursor)
        cursor = requested.cursor
        for request in requested.run_requests or []:
            launches += 1
            operators.run("replay_dlq", **request.run_config["ops"]["replay_dlq"]["config"])
            _fail(queue)
    assert launches == 2
    [dead_lettered] = dead_letters(queue)
    assert dead_lettered["replays"] == 2
    assert len(queue.list_jobs()) == 3


def test_a_job_that_was_retried_since_is_skipped(operators: Operators, queue: Queue) -> None:
    """With `skip_unfit`, a job that an operator retried after the sensor's tick is skipped."""
    job_id = failed_job(queue)
    operators.run("retry_failed", dry_run=False)
    shown = operators.run("replay_dlq", job_ids=[str(job_id)], skip_unfit=True)
    assert (shown["changed"], shown["skipped"]) == (0, 1)


def _out_of_attempts(queue: Queue) -> UUID:
    job = running_job(queue, max_attempts=1)
    settle(queue, job, Outcome.FAILED, error=BROKEN)
    return job.id


def _fail(queue: Queue) -> None:
    settle(queue, take_one(queue), Outcome.FAILED, error=BROKEN)
