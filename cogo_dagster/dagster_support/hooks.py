"""Hooks of all Dagster jobs: a failed op is recorded immediately, and a success resolves its alert.

A hook writes one row and sends nothing. Hooks do not run if the process of a run crashes; in that case the sensor
`run_failure` records the failure. Each run is counted once.
"""

from typing import Final, cast

import dagster as dg

from cogo_dagster.alerts.service import Alerts
from cogo_dagster.dagster_support.launches import is_mistaken_launch
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_status import error_class, error_message, seconds_since, was_terminated


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
    message = str(error) if error else "No error message."
    failure = {
        "run_id": context.run_id,
        "job_name": context.job_name,
        "op_name": context.op.name,
        "error_class": kind,
        "error_message": error_message(context.instance, context.run_id, kind, message),
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


HOOKS: Final = {alert_on_failure, resolve_on_success}


def _alerts(context: dg.HookContext) -> Alerts:
    return cast("CogoResource", context.resources.cogo).application.alerts
