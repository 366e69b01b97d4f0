"""Alerts in Dagster: the Dagster job that delivers them, and the sensors that see what hooks cannot."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import dagster as dg
from pydantic import Field

from cogo_dagster.alerts.delivery import PassReport
from cogo_dagster.defs.hooks import HOOKS, error_class
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.run_status import max_runtime
from cogo_dagster.defs.sensors import unserved
from cogo_dagster.defs.ticks import TICK_SECONDS, within
from cogo_dagster.defs.watched import failing_sensors, watched_schedules
from cogo_dagster.executors.registry import left_to_others
from cogo_dagster.queue.model import Json

T = TypeVar("T")

_LOOK_BACK: Final = timedelta(hours=6)
_MOST_RUNS: Final = 200
_DELIVERING_SECONDS: Final = 900
_LOOK_SECONDS: Final = 6.0
_DELIVERY_SECONDS: Final = 20.0
_SWITCH_SECONDS: Final = 11.0


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
    description=(
        "Deliver alerts, as `cogo alerts deliver`: for people. The sensor undelivered_alerts, `cogo web` and "
        "`cogo worker` deliver by themselves."
    ),
    tags=max_runtime(_DELIVERING_SECONDS),
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
    within(TICK_SECONDS, "Writing down a failed run", lambda: cogo.application.alerts.record_run_failures([failure]))


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks after what hooks and run_failure may have missed, says which schedules are due and which sensors fail, "
        "makes alerts of what went wrong, and delivers them itself, within 20 s a tick: no run has to be launched."
    ),
)
def undelivered_alerts(context: dg.SensorEvaluationContext, cogo: CogoResource) -> dg.SkipReason:
    """Record what is wrong, deliver, and call the dead man's switch; a part that fails keeps none of the others."""
    instance, repository = context.instance, context.repository_def
    parts = Parts()
    parts.do("Reading Dagster's runs", _LOOK_SECONDS, lambda: _record_runs(instance, cogo))
    if repository is not None:
        parts.do("Reading the schedules", _LOOK_SECONDS, lambda: _watch(instance, repository, cogo))
        parts.do("Reading the sensors", _LOOK_SECONDS, lambda: _report(instance, repository, cogo))
    report = parts.do("Delivering", _DELIVERY_SECONDS + 2, lambda: cogo.application.alerts.deliver(_DELIVERY_SECONDS))
    parts.do("Calling the dead man's switch", _SWITCH_SECONDS, cogo.application.alerts.call_switch)
    parts.raise_first()
    return dg.SkipReason(_told(report) if report else "Nothing was delivered.")


class Parts:
    """Does the parts of a tick one after another, each within its time, and keeps what they raise for the end."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def do(self, what: str, seconds: float, work: Callable[[], T]) -> T | None:
        """Return what one part returns; None where it failed."""
        try:
            return within(seconds, what, work)
        except Exception as error:  # noqa: BLE001 - raised at the end of the tick
            self._errors.append(error)
            return None

    def raise_first(self) -> None:
        """Let the tick fail if a part did: that is how Dagster's page, and the next tick, see it."""
        if self._errors:
            raise self._errors[0]


def _told(report: PassReport) -> str:
    waiting = "".join(f" {name} is tried again in {seconds:.0f} s." for name, seconds in report.waiting.items())
    found = sum(report.promoted.values())
    return f"{found} failures found, {report.delivered} messages delivered, {report.failed} not.{waiting}"


def _record_runs(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    alerts = cogo.application.alerts
    alerts.record_run_failures(_recent_failures(instance))
    alerts.record_run_successes(_recoveries(instance, alerts.list_alerts(status="firing", kind="run_failed")))


def _watch(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, cogo: CogoResource) -> None:
    cogo.application.alerts.watch_schedules(watched_schedules(instance, repository, datetime.now(UTC)))


def _report(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, cogo: CogoResource) -> None:
    failing = failing_sensors(instance, {sensor.name for sensor in repository.sensor_defs})
    found = conditions(failing, unserved(cogo), left_to_others(cogo.application.settings))
    cogo.application.alerts.report_conditions("dagster", found)


def conditions(
    failing: Mapping[str, str], unserved: Mapping[str, int], left: Mapping[str, str]
) -> list[dict[str, Json]]:
    """Return what is wrong with sensors and executors, as `report_conditions` takes it.

    Args:
        failing: The sensors that fail, with their errors.
        unserved: How many jobs are due of each family that nobody runs.
        left: Why this code location runs no jobs of a family, by family.
    """
    found = [("sensor_failing", name, f"The sensor {name} fails", error) for name, error in failing.items()]
    for family, count in unserved.items():
        why = left.get(family, "Install its executor where workers run.")
        found.append(
            ("no_worker_for_family", family, f"No worker runs jobs of the family {family}", f"{count} are due. {why}")
        )
    return [
        {"kind": kind, "subject": subject, "title": title, "error_message": message}
        for kind, subject, title, message in found
    ]


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
