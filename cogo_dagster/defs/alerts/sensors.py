"""Sensors that record failures for which no hook runs, and deliver alerts."""

from typing import Final

import dagster as dg

from cogo_dagster.alerts.delivery import PassReport
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_failures import (
    described,
    needs_alert,
    record_runs,
    report_conditions,
    watch_schedules,
)
from cogo_dagster.dagster_support.run_status import was_terminated
from cogo_dagster.dagster_support.ticks import TICK_SECONDS, Parts, within
from cogo_dagster.formatting.values import counted

_READ_SECONDS: Final = 6.0
_DELIVERY_SECONDS: Final = 20.0
_SWITCH_SECONDS: Final = 11.0


@dg.run_failure_sensor(
    name="run_failure",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records each failed run, even if its process was killed. A delivery pass raises the alert.",
)
def run_failure(context: dg.RunFailureSensorContext, cogo: CogoResource) -> None:
    """Record a failed run, unless it was terminated by a user, stopped with its machine, or launched by mistake."""
    if was_terminated(context.instance, context.dagster_run.run_id):
        return
    failure = described(context.instance, context.dagster_run, context.get_step_failure_events())
    if needs_alert(context.dagster_run, failure):
        within(TICK_SECONDS, "Recording a failed run", lambda: cogo.application.alerts.record_run_failures([failure]))


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Records failures that hooks and run_failure have missed, late schedules and failing sensors, raises alerts "
        "for them and delivers them in the tick, within 20 s, without launching a run."
    ),
)
def undelivered_alerts(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SkipReason:
    """Record failures, deliver alerts, and call the dead man's switch. A failing part does not prevent the others."""
    instance, repository = context.instance, context.repository_def
    parts = Parts()
    parts.do("Reading Dagster's runs", _READ_SECONDS, lambda: record_runs(instance, cogo))
    if repository is not None:
        parts.do("Reading the schedules", _READ_SECONDS, lambda: watch_schedules(instance, repository, cogo))
        parts.do("Reading the sensors", _READ_SECONDS, lambda: report_conditions(instance, repository, cogo))
    report = parts.do("Delivering", _DELIVERY_SECONDS + 2, lambda: cogo.application.alerts.deliver(_DELIVERY_SECONDS))
    parts.do("Calling the dead man's switch", _SWITCH_SECONDS, cogo.application.alerts.call_switch)
    parts.raise_first()
    return dg.SkipReason(_summary(report) if report else "Nothing was delivered.")


def _summary(report: PassReport) -> str:
    waiting = "".join(f" {name} is retried in {seconds:.0f} s." for name, seconds in report.waiting.items())
    raised, sent = counted(sum(report.raised.values()), "new failure"), counted(report.delivered, "message")
    return f"{raised}; {sent} delivered, {report.failed} failed.{waiting}"
