"""Hooks of all Dagster jobs: a failed op is recorded immediately, and a success resolves its alert.

A hook writes one row and sends nothing. Hooks do not run if the process of a run crashes; in that case the sensor
`run_failure` records the failure. Each run is counted once.
"""

from typing import Final, cast

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from cogo_dagster.alerts.service import Alerts
from cogo_dagster.dagster_support.launches import is_mistaken_launch
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_status import failed_checks, seconds_since, was_terminated

CHECK_FAILED: Final = "check_failed"


@dg.failure_hook(required_resource_keys={"cogo"}, name="alert_on_failure")
def alert_on_failure(context: dg.HookContext) -> None:
    """Record that an op failed, unless the run was terminated by a user or launched by mistake."""
    error = context.op_exception
    run = context.instance.get_run_by_id(context.run_id)
    if error and run and is_mistaken_launch(run.tags, type(error).__name__):
        return
    if was_terminated(context.instance, context.run_id):
        return
    kind = error_class(type(error).__name__) if error else "unknown"
    checks = failed_checks(context.instance, context.run_id) if kind == CHECK_FAILED else ""
    failure = {
        "run_id": context.run_id,
        "job_name": context.job_name,
        "op_name": context.op.name,
        "error_class": kind,
        "error_message": checks or (str(error) if error else "No error message."),
        "failed_seconds_ago": 0,
    }
    _alerts(context).record_run_failures([failure])


@dg.success_hook(required_resource_keys={"cogo"}, name="resolve_on_success")
def resolve_on_success(context: dg.HookContext) -> None:
    """Record that an op succeeded, in a run that started after its last failure."""
    record = context.instance.get_run_record_by_id(context.run_id)
    started = record.start_time if record else None
    success = {"job_name": context.job_name, "op_name": context.op.name, "run_id": context.run_id}
    _alerts(context).record_run_successes([{**success, "seconds_ago": seconds_since(started)}])


def error_class(name: str) -> str:
    """Return the error class of an alert. A failed asset check is `check_failed`, as it is not an error of the op."""
    return CHECK_FAILED if name == DagsterAssetCheckFailedError.__name__ else name


HOOKS: Final = {alert_on_failure, resolve_on_success}


def _alerts(context: dg.HookContext) -> Alerts:
    return cast("CogoResource", context.resources.cogo).application.alerts
