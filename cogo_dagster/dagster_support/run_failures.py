"""Reports failures in Dagster to the alerts: runs, late schedules, sensors, missing executors."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from cogo_dagster.dagster_support.asset_keys import JOBS_OF_ASSETS
from cogo_dagster.dagster_support.backlog import unserved
from cogo_dagster.dagster_support.launches import is_mistaken_launch
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_status import error_class, error_message, seconds_since, was_terminated
from cogo_dagster.dagster_support.watched import failing_sensors, message_of, watched_schedules
from cogo_dagster.dagster_support.worker_runs import PROCESS_JOBS
from cogo_dagster.executors.registry import left_to_others
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertRow

_LOOK_BACK: Final = timedelta(hours=6)
_MAX_RUNS: Final = 200
_ASSET_JOB: Final = "__ASSET_JOB"
"""Dagster's name of every run that is launched from assets: a backfill, a materialization, a check."""
_ENDED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def record_runs(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Record runs that failed recently, and successes after a failure."""
    alerts = cogo.application.alerts
    alerts.record_run_failures(_recent_failures(instance))
    alerts.record_run_successes(_recoveries(instance, alerts.list_alerts(status="firing", kind="run_failed")))


def watch_schedules(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, cogo: CogoResource) -> None:
    """Record when each running schedule is due."""
    cogo.application.alerts.watch_schedules(watched_schedules(instance, repository, datetime.now(UTC)))


def report_conditions(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, cogo: CogoResource) -> None:
    """Report failing sensors, and families of jobs that no worker can run."""
    failing = failing_sensors(instance, {sensor.name for sensor in repository.sensor_defs})
    rows = conditions(failing, unserved(cogo), left_to_others(cogo.application.settings))
    cogo.application.alerts.report_conditions("dagster", rows)


def conditions(
    failing: Mapping[str, str], unserved: Mapping[str, int], left: Mapping[str, str]
) -> list[dict[str, Json]]:
    """Return the conditions of sensors and executors, as `report_conditions` takes them.

    Args:
        failing: Failing sensors with their errors.
        unserved: Number of due jobs by family, for families that no worker can run.
        left: Reason why this code location does not run a family, by family.
    """
    rows = [("sensor_failing", name, f"The sensor {name} is failing", error) for name, error in failing.items()]
    for family, count in unserved.items():
        why = left.get(family, "Install its executor on a machine with workers.")
        rows.append(
            (
                "no_worker_for_family",
                family,
                f"No worker can run jobs of the family {family}",
                f"{count} {'job is' if count == 1 else 'jobs are'} due. {why}",
            )
        )
    return [
        {"kind": kind, "subject": subject, "title": title, "error_message": message}
        for kind, subject, title, message in rows
    ]


def failure_of(run: dg.DagsterRun, steps: Iterable[dg.DagsterEvent], ended: str | None) -> dict[str, Json]:
    """Describe a failed run by its first failed op, else by how it ended."""
    base: dict[str, Json] = {"run_id": run.run_id, "job_name": job_name_of(run), "failed_seconds_ago": 0}
    for step in steps:
        data: Any = step.event_specific_data
        error = getattr(data, "error", None)
        cause = (error.cause or error) if error else None
        name = cause.cls_name if cause and cause.cls_name else "unknown"
        message = cause.message.strip().removeprefix(f"{name}: ") if cause else ended
        op_name = (step.step_key or "").split("[")[0] or None
        return {
            **base,
            "op_name": op_name,
            "error_class": error_class(name.rpartition(".")[2]),
            "error_message": message,
        }
    return {
        **base,
        "op_name": None,
        "error_class": "run_crashed",
        "error_message": ended or "The run ended unexpectedly.",
    }


def described(instance: dg.DagsterInstance, run: dg.DagsterRun, steps: Iterable[dg.DagsterEvent]) -> dict[str, Json]:
    """Describe a failed run as `failure_of` does; a failed check by its description, which names the numbers."""
    failure = failure_of(run, steps, end_of(instance, run))
    message = error_message(instance, run.run_id, str(failure["error_class"]), str(failure["error_message"]))
    return {**failure, "error_message": message}


def end_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Return why a run without a failed op ended, such as a resource that could not be opened."""
    ends = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event = ends[-1].event_log_entry.dagster_event if ends else None
    data: Any = event.event_specific_data if event else None
    error = getattr(data, "error", None)
    if error is None:
        return event.message if event else None
    return message_of(error)


def job_name_of(run: dg.DagsterRun) -> str:
    """Return the Dagster job of a run; for a run of assets, the job that materializes the same assets.

    Otherwise the success of any asset would resolve the alert about another one.
    """
    if not run.job_name.startswith(_ASSET_JOB):
        return run.job_name
    keys = run.asset_selection or {check.asset_key for check in run.asset_check_selection or ()}
    return ", ".join(sorted({JOBS_OF_ASSETS.get(key, key.to_user_string()) for key in keys})) or run.job_name


def needs_alert(run: dg.DagsterRun, failure: Mapping[str, Json]) -> bool:
    """Whether a failure is reported: not if the run was launched by mistake, or is a worker's that was stopped.

    The jobs of a worker that is stopped with its machine are requeued, and the next run claims them.
    """
    error_class = str(failure["error_class"])
    stopped = run.job_name == PROCESS_JOBS and error_class == "DagsterExecutionInterruptedError"
    return not (stopped or is_mistaken_launch(run.tags, error_class))


def _recent_failures(instance: dg.DagsterInstance) -> list[dict[str, Json]]:
    """Return recent failures again: hooks and sensors record nothing while the database is unreachable."""
    since = datetime.now(UTC) - _LOOK_BACK
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    failures = []
    for record in instance.get_run_records(failed, limit=_MAX_RUNS):
        if was_terminated(instance, record.dagster_run.run_id):
            continue
        events = instance.get_records_for_run(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        steps = [entry.event_log_entry.dagster_event for entry in events.records]
        failure = described(instance, record.dagster_run, [step for step in steps if step])
        if needs_alert(record.dagster_run, failure):
            failures.append({**failure, "failed_seconds_ago": seconds_since(record.end_time)})
    return failures


def _recoveries(instance: dg.DagsterInstance, firing: Sequence[AlertRow]) -> list[dict[str, Json]]:
    """Return the Dagster jobs whose last finished run, or that of their assets, succeeded.

    SQL ignores runs that started before the failure.
    """
    if not firing:
        return []
    recoveries = []
    of_assets = instance.get_run_records(dg.RunsFilter(job_name=_ASSET_JOB, statuses=_ENDED), limit=_MAX_RUNS)
    for job_name in {str(alert.subject) for alert in firing}:
        own = instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=_ENDED), limit=1)
        same = [record for record in of_assets if job_name_of(record.dagster_run) == job_name][:1]
        record = max([*own, *same], key=lambda found: found.storage_id, default=None)
        if record and record.dagster_run.status is dg.DagsterRunStatus.SUCCESS and record.start_time:
            ago, run_id = seconds_since(record.start_time), record.dagster_run.run_id
            recoveries.append({"job_name": job_name, "op_name": None, "run_id": run_id, "seconds_ago": ago})
    return recoveries
