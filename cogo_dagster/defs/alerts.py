"""Alerts in Dagster: the Dagster job that delivers them, and the sensors that see what hooks cannot."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from cogo_dagster.defs.hooks import HOOKS, error_class
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.run_status import UNFINISHED
from cogo_dagster.defs.watched import watched_schedules
from cogo_dagster.queue.model import Json

_LOOK_BACK: Final = timedelta(hours=6)
_MOST_RUNS: Final = 200
_PATIENCE_SECONDS: Final = 20.0


class DeliverConfig(dg.Config):
    """How long a pass may last."""

    max_seconds: float = Field(45, gt=0, le=600, description="End after so long; what is left waits for the next pass.")


@dg.op(description="Turn what went wrong into alerts, and deliver what is due.")
def deliver_due_alerts(context: dg.OpExecutionContext, config: DeliverConfig, cogo: CogoResource) -> None:
    """Do one pass. A target that fails is an alert of its own for the others, not a failure of this run."""
    report = cogo.application.alerts.deliver(config.max_seconds)
    for attempt in report.attempts:
        if attempt.receipt.sentence:
            context.log.warning("%s: %s", attempt.target, attempt.receipt.sentence)
    context.add_output_metadata({**report.promoted, "delivered": report.delivered, "failed": report.failed})


@dg.job(
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Deliver alerts, as `cogo alerts deliver`. Workers started by `cogo worker` do it too.",
)
def deliver_alerts() -> None:
    """One op."""
    deliver_due_alerts()


@dg.run_failure_sensor(
    name="run_failure",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes down every run that fails, also one whose process was killed; the pass makes alerts of them.",
)
def run_failure(context: dg.RunFailureSensorContext, cogo: CogoResource) -> None:
    """Write down one failed run."""
    ended = context.failure_event.message
    failure = failure_of(context.dagster_run, context.get_step_failure_events(), ended)
    cogo.application.alerts.record_run_failures([failure])


@dg.sensor(
    job=deliver_alerts,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks after what hooks and run_failure may have missed, says which schedules are due, makes alerts of what "
        "went wrong, and starts deliver_alerts when nobody else delivers them."
    ),
)
def undelivered_alerts(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SensorResult:
    """Record, promote, and launch a delivery if messages have been waiting."""
    alerts = cogo.application.alerts
    alerts.record_run_failures(_recent_failures(context.instance))
    alerts.record_run_successes(_recoveries(context.instance, alerts.list_alerts(status="firing", kind="run_failed")))
    if context.repository_def is not None:
        alerts.watch_schedules(watched_schedules(context.instance, context.repository_def, datetime.now(UTC)))
    alerts.promote()
    health = alerts.target_health()
    running = context.instance.get_runs(dg.RunsFilter(job_name=deliver_alerts.name, statuses=UNFINISHED), limit=1)
    needed = delivery_needed(health) and not running
    number = int(context.cursor or 0) + int(needed)
    reason = f"{health['firing']} alerts fire, {health['undelivered']} messages are due."
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"delivery-{number}")] if needed else [],
        skip_reason=None if needed else dg.SkipReason(reason),
        cursor=str(number),
    )


def delivery_needed(health: Mapping[str, Json]) -> bool:
    """Whether messages are due that nobody has taken for a while, as a worker would."""
    oldest = max((target["oldest_pending_seconds"] for target in health["targets"]), default=0)
    return bool(health["undelivered"]) and oldest >= _PATIENCE_SECONDS


def failure_of(run: dg.DagsterRun, steps: Iterable[dg.DagsterEvent], ended: str | None) -> dict[str, Json]:
    """Describe a failed run: its first op that failed, else how it ended."""
    base: dict[str, Json] = {"run_id": run.run_id, "job_name": run.job_name, "failed_seconds_ago": 0}
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
    return {**base, "op_name": None, "error_class": "run_crashed", "error_message": ended or "The run ended by itself."}


def _recent_failures(instance: dg.DagsterInstance) -> list[dict[str, Json]]:
    """Look back: a hook or a sensor whose database was away has written nothing down."""
    since = datetime.now(UTC) - _LOOK_BACK
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    found = []
    for record in instance.get_run_records(failed, limit=_MOST_RUNS):
        events = instance.get_records_for_run(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        steps = [one.event_log_entry.dagster_event for one in events.records]
        ago = datetime.now(UTC).timestamp() - (record.end_time or datetime.now(UTC).timestamp())
        failure = failure_of(record.dagster_run, [step for step in steps if step], None)
        found.append({**failure, "failed_seconds_ago": max(ago, 0.0)})
    return found


def _recoveries(instance: dg.DagsterInstance, firing: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Return the Dagster jobs whose newest ended run succeeded; only what began after a failure will count."""
    found = []
    for job_name in {alert["subject"] for alert in firing}:
        ended = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
        for record in instance.get_run_records(ended, limit=1):
            if record.dagster_run.status is dg.DagsterRunStatus.SUCCESS and record.start_time:
                ago = datetime.now(UTC).timestamp() - record.start_time
                run_id = record.dagster_run.run_id
                found.append({"job_name": job_name, "op_name": None, "run_id": run_id, "seconds_ago": max(ago, 0.0)})
    return found
