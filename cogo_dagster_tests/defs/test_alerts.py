"""From a Dagster failure to an alert: hooks, sensors, schedules, on the real queue's database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from cogo_dagster.alerts.service import Alerts
from cogo_dagster.dagster_support.hooks import HOOKS, error_class
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_failures import conditions, failure_of
from cogo_dagster.dagster_support.watched import _watched
from cogo_dagster.defs.alerts.jobs import deliver_alerts
from cogo_dagster.defs.alerts.sensors import run_failure, undelivered_alerts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, receiving
from cogo_dagster_tests.alerts.steps import fail_job
from cogo_dagster_tests.defs.origins import of_sensor
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.test_redaction import SECRET


@dg.op(config_schema={"fails": bool})
def moody(context: dg.OpExecutionContext) -> None:
    """Fail if told so."""
    if context.op_config["fails"]:
        raise KeyError(f"password={SECRET}")


@dg.job(hooks=HOOKS)
def moody_job() -> None:
    """One op."""
    moody()


@pytest.fixture
def alerts(transport: Transport) -> Alerts:
    """The service, without targets."""
    return Alerts(transport, load_settings())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes whatever comes."""
    with receiving(anything) as receiver:
        yield receiver


def run(instance: dg.DagsterInstance, cogo: CogoResource, *, fails: bool) -> str:
    """Run the moody job; return the run's id."""
    config = {"ops": {"moody": {"config": {"fails": fails}}}}
    done = moody_job.execute_in_process(
        run_config=config, instance=instance, resources={"cogo": cogo}, raise_on_error=False
    )
    assert done.success is not fails
    return done.run_id


def tick(instance: dg.DagsterInstance, cogo: CogoResource, repository: dg.Definitions | None = None) -> str:
    """Evaluate undelivered_alerts once; return what it says."""
    found = repository.get_repository_def() if repository else None
    with dg.build_sensor_context(instance=instance, repository_def=found, resources={"cogo": cogo}) as context:
        result = undelivered_alerts(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_an_op_that_fails_is_an_alert_and_its_success_ends_it(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """With the run to look at, and without the secret that the exception held."""
    run_id = run(instance, cogo, fails=True)
    alerts.promote()
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["title"]) == ("run_failed", "The Dagster job moody_job fails in moody")
    assert (row.document["error_class"], row.document["refs"]["run_id"]) == ("KeyError", run_id)
    assert SECRET not in str(row)
    run(instance, cogo, fails=False)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_a_red_gate_is_told_apart_from_a_broken_pipeline() -> None:
    """A blocking check that says no fails its run; the alert names the check, and other errors by their own class."""
    assert error_class("DagsterAssetCheckFailedError") == "check_failed"
    assert error_class("KeyError") == "KeyError"


def test_the_hook_and_the_sensor_count_a_run_once(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """The sensor comes after the hook, for the same run."""
    run_id = run(instance, cogo, fails=True)
    dagster_run = instance.get_run_by_id(run_id)
    assert dagster_run is not None
    [record] = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event = record.event_log_entry.dagster_event
    assert event is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failure",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=dagster_run,
        resources={"cogo": cogo},
    )
    with context.for_run_failure() as failed:
        run_failure(failed)
    tick(instance, cogo)
    [row] = alerts.list_alerts()
    assert row.document["count"] == 1


def test_a_run_that_crashed_has_no_hook_and_is_seen_all_the_same(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """Its process was killed: no op failed, the run did. A later run that succeeds ends the alert."""
    crashed = instance.create_run_for_job(moody_job, run_config={"ops": {"moody": {"config": {"fails": True}}}})
    instance.report_run_failed(crashed)
    tick(instance, cogo)
    [row] = alerts.list_alerts()
    assert (row.document["title"], row.document["error_class"]) == (
        "A run of the Dagster job moody_job crashed",
        "run_crashed",
    )
    tick(instance, cogo)
    assert alerts.list_alerts()[0].document["count"] == 1
    run(instance, cogo, fails=False)
    tick(instance, cogo)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_hook_and_sensor_describe_an_op_alike(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Same op, same class: whoever is first, the fingerprint is the same."""
    run_id = run(instance, cogo, fails=True)
    dagster_run = instance.get_run_by_id(run_id)
    assert dagster_run is not None
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    steps = [one.event_log_entry.dagster_event for one in found]
    described = failure_of(dagster_run, [step for step in steps if step], None)
    assert (described["op_name"], described["error_class"]) == ("moody", "KeyError")


@pytest.fixture
def http(receiver: Receiver, settings: dict[str, str]) -> CogoResource:
    """The resource whose alerts go to it."""
    target = {"WEBHOOK_TYPE": "http", "WEBHOOK_URL": receiver.url(), "WEBHOOK_ALLOWED_HOSTS": receiver.authority}
    return CogoResource(settings=settings | target)


def test_the_sensor_delivers_by_itself(
    instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource
) -> None:
    """No run is launched for it: the machines that launch runs may be what is down."""
    instance.create_run_for_job(deliver_alerts, status=dg.DagsterRunStatus.STARTED)  # a dead one, say
    fail_job(queue)
    assert tick(instance, http) == "1 failures found, 1 messages delivered, 0 not."
    assert len(receiver.accepted) == 1
    assert tick(instance, http) == "0 failures found, 0 messages delivered, 0 not."


def test_people_can_still_run_a_delivery(
    instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource
) -> None:
    """The Dagster job does what the sensor does."""
    fail_job(queue)
    assert deliver_alerts.execute_in_process(instance=instance, resources={"cogo": http}).success
    assert len(receiver.accepted) == 1


def test_messages_for_a_target_that_is_configured_no_more_do_nothing(
    instance: dg.DagsterInstance, cogo: CogoResource, queue: Queue, receiver: Receiver, http: CogoResource
) -> None:
    """They wait; no tick launches a run or fails because of them."""
    receiver.down = Reply(503)
    fail_job(queue)
    assert "1 not. http is tried again in" in tick(instance, http)
    assert tick(instance, cogo) == "0 failures found, 0 messages delivered, 0 not."


def test_what_dagster_does_not_answer_keeps_no_message_back(
    instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking through the runs fails: the tick fails too, after it has delivered."""
    monkeypatch.setattr("cogo_dagster.dagster_support.run_failures._recent_failures", _cannot)
    fail_job(queue)
    with pytest.raises(LookupError):
        tick(instance, http)
    assert len(receiver.accepted) == 1


def test_a_target_without_its_address_keeps_no_alert_from_being_recorded(
    instance: dg.DagsterInstance, settings: dict[str, str], queue: Queue, alerts: Alerts
) -> None:
    """The tick fails with the sentence that says what to set; what went wrong is an alert to look at."""
    fail_job(queue)
    with pytest.raises(SettingsError, match="SLACK_WEBHOOK_URL is not set"):
        tick(instance, CogoResource(settings=settings | {"WEBHOOK_TYPE": "slack", "SLACK_WEBHOOK_URL": ""}))
    assert [row.document["kind"] for row in alerts.list_alerts()] == ["job_failed"]


def test_a_sensor_that_keeps_failing_is_an_alert(
    persistent: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """Its ticks are no runs, so that nothing else would say it; one tick that succeeds ends the alert."""
    definitions = dg.Definitions(sensors=[broken_sensor], jobs=[moody_job], resources={"cogo": cogo})
    state = InstigatorState(of_sensor("broken_sensor"), InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    persistent.add_instigator_state(state)
    _ticked(persistent, state, TickStatus.FAILURE, f"password={SECRET} is wrong")
    tick(persistent, cogo, definitions)
    assert alerts.list_alerts() == []
    _ticked(persistent, state, TickStatus.FAILURE, f"password={SECRET} is wrong")
    tick(persistent, cogo, definitions)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["title"]) == ("sensor_failing", "The sensor broken_sensor fails")
    assert "is wrong" in row.document["error_message"]
    assert SECRET not in str(row)
    _ticked(persistent, state, TickStatus.SKIPPED)
    tick(persistent, cogo, definitions)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_jobs_of_a_family_that_nobody_runs_are_an_alert(
    persistent: dg.DagsterInstance, cogo: CogoResource, queue: Queue, alerts: Alerts
) -> None:
    """Nothing is launched for them, so somebody has to hear of it."""
    add(queue, type="nobodys")
    definitions = dg.Definitions(jobs=[moody_job], resources={"cogo": cogo})
    tick(persistent, cogo, definitions)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["subject"]) == ("no_worker_for_family", "nobodys")
    assert row.document["error_message"] == "1 are due. Install its executor where workers run."


def test_the_condition_names_the_setting_that_is_missing() -> None:
    """What this code location lacks is most likely what the workers lack."""
    [found] = conditions(
        {}, {"figma": 3}, {"figma": "Jobs of the family figma need FIGMA_API_TOKEN, which is not set."}
    )
    assert found["error_message"] == "3 are due. Jobs of the family figma need FIGMA_API_TOKEN, which is not set."


@dg.sensor(job=moody_job)
def broken_sensor(context: dg.SensorEvaluationContext) -> None:
    """Raise, as far as Dagster's record is concerned."""


def _ticked(instance: dg.DagsterInstance, state: InstigatorState, status: TickStatus, message: str = "") -> None:
    error = SerializableErrorInfo(message, [], "ValueError") if message else None
    instance.create_tick(
        TickData(
            state.instigator_origin_id,
            state.instigator_name,
            InstigatorType.SENSOR,
            status,
            datetime.now(UTC).timestamp(),
            selector_id=state.selector_id,
            error=error,
        )
    )


def _cannot(*_: object) -> None:
    raise LookupError("Dagster's storage is away.")


NIGHTLY = dg.ScheduleDefinition(name="nightly", job=moody_job, cron_schedule="0 2 * * *", execution_timezone="UTC")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def state_since(moment: datetime) -> InstigatorState:
    """A running schedule."""
    data = ScheduleInstigatorData("0 2 * * *", moment.timestamp())
    return _State(data)  # type: ignore[return-value]


class _State:
    def __init__(self, data: ScheduleInstigatorData) -> None:
        self.instigator_data = data


@pytest.mark.parametrize(
    ("last", "status", "late"),
    [
        (datetime(2026, 11, 25, 2, 0, tzinfo=UTC), TickStatus.SUCCESS, False),
        (datetime(2026, 11, 24, 2, 0, tzinfo=UTC), TickStatus.SUCCESS, True),
        (datetime(2026, 11, 25, 2, 0, tzinfo=UTC), TickStatus.FAILURE, True),
        (None, None, True),
    ],
    ids=["it ticked", "a day is missing", "the tick failed", "it never ticked"],
)
def test_a_schedule_is_due_after_its_last_tick(last: datetime | None, status: TickStatus | None, late: bool) -> None:
    """And one whose tick failed is due since then."""
    ticked: Any = None
    if last and status:
        ticked = SimpleNamespace(status=status, timestamp=last.timestamp(), error=None)
    watched = _watched(NIGHTLY, state_since(NOW - timedelta(days=3)), ticked, NOW)
    assert (watched["due_in_seconds"] < 0) is late
