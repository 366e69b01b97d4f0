"""From a failure in Dagster to an alert: hooks, sensors and schedules, with a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

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
from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_failures import (
    _recoveries,
    conditions,
    end_of,
    failure_of,
    job_name_of,
)
from cogo_dagster.dagster_support.run_status import error_class
from cogo_dagster.dagster_support.watched import _watched
from cogo_dagster.defs.alerts.jobs import deliver_alerts
from cogo_dagster.defs.alerts.sensors import run_failure, undelivered_alerts
from cogo_dagster.defs.operators.jobs import retry_failed
from cogo_dagster.defs.queue.jobs import inspect_job
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, receiving
from cogo_dagster_tests.alerts.steps import fail_job
from cogo_dagster_tests.defs.loaded import defs
from cogo_dagster_tests.defs.origins import of_sensor
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.test_redaction import SECRET


@dg.op(config_schema={"fails": bool})
def flaky(context: dg.OpExecutionContext) -> None:
    """Fail if the configuration says so."""
    if context.op_config["fails"]:
        raise KeyError(f"password={SECRET}")


@dg.job(hooks=HOOKS)
def flaky_job() -> None:
    """Run one op."""
    flaky()


@pytest.fixture
def alerts(transport: Transport) -> Alerts:
    """Return the service without targets."""
    return Alerts(transport, load_settings())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with receiving(anything) as receiver:
        yield receiver


def run(instance: dg.DagsterInstance, cogo: CogoResource, *, fails: bool) -> str:
    """Run the flaky job; return the run's id."""
    config = {"ops": {"flaky": {"config": {"fails": fails}}}}
    done = flaky_job.execute_in_process(
        run_config=config, instance=instance, resources={"cogo": cogo}, raise_on_error=False
    )
    assert done.success is not fails
    return done.run_id


def tick(instance: dg.DagsterInstance, cogo: CogoResource, repository: dg.Definitions | None = None) -> str:
    """Evaluate undelivered_alerts once; return its skip message."""
    found = repository.get_repository_def() if repository else None
    with dg.build_sensor_context(instance=instance, repository_def=found, resources={"cogo": cogo}) as context:
        result = undelivered_alerts(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_a_failed_op_is_an_alert_until_it_succeeds(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """The alert links the run, and secrets in the exception are redacted."""
    run_id = run(instance, cogo, fails=True)
    alerts.evaluate()
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["title"]) == ("run_failed", "The Dagster job flaky_job fails in flaky")
    assert (row.document["error_class"], row.document["refs"]["run_id"]) == ("KeyError", run_id)
    assert SECRET not in str(row)
    run(instance, cogo, fails=False)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_a_database_that_is_down_is_one_sentence(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot open the queue fails with the sentence of the commands, for the run's page and its alert."""
    monkeypatch.setenv("COGO_DATABASE_URL", "postgresql://cogo@127.0.0.1:9/cogo")
    resources = {"cogo": CogoResource()}
    done = flaky_job.execute_in_process(
        run_config={"ops": {"flaky": {"config": {"fails": False}}}},
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    sentence = end_of(instance, run) or ""
    assert sentence.startswith("The database cannot be reached")  # without the name of a class
    assert sentence.endswith("check COGO_DATABASE_URL and that the server runs.")
    with (
        pytest.raises(dg.DagsterError, match=r"^The database cannot be reached"),
        dg.build_sensor_context(instance=instance, resources=resources) as context,
    ):
        undelivered_alerts(context)


def ended_assets(instance: dg.DagsterInstance, key: dg.AssetKey, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """Add a finished run that was launched from an asset; Dagster names all of them alike."""
    made = dg.DagsterRun("__ASSET_JOB", str(uuid4()), asset_selection=frozenset({key}), status=status)
    return instance.add_run(made)


def test_a_run_of_an_asset_is_named_by_the_job_that_materializes_it(instance: dg.DagsterInstance) -> None:
    """A failed backfill of days is a failure of snapshot_gate, which the success of another asset does not end."""
    failed = ended_assets(instance, asset_keys.GATE_SNAPSHOT, dg.DagsterRunStatus.FAILURE)
    other = ended_assets(instance, asset_keys.PROVIDER_HEALTH, dg.DagsterRunStatus.SUCCESS)
    assert failure_of(failed, [], None)["job_name"] == "snapshot_gate"
    assert job_name_of(other) == "check_health"
    firing = [SimpleNamespace(subject="snapshot_gate"), SimpleNamespace(subject="check_health")]
    assert [one["job_name"] for one in _recoveries(instance, firing)] == []  # type: ignore[arg-type]
    started(instance, other)
    started(instance, ended_assets(instance, asset_keys.GATE_SNAPSHOT, dg.DagsterRunStatus.SUCCESS))
    recovered = {one["job_name"] for one in _recoveries(instance, firing)}  # type: ignore[arg-type]
    assert recovered == {"snapshot_gate", "check_health"}


def started(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Record the start of a run, as its process does."""
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name, message="start")
    instance.report_dagster_event(event, run.run_id)
    end = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name, message="end")
    instance.report_dagster_event(end, run.run_id)


def test_the_names_of_runs_of_assets_are_those_of_their_jobs() -> None:
    """Each asset that a job of the code location materializes or checks has that job's name."""
    repository = defs.get_repository_def()
    for key, name in asset_keys.JOBS_OF_ASSETS.items():
        job = repository.get_job(name)
        keys = set(job.asset_layer.selected_asset_keys)
        checked = {check.asset_key for check in job.asset_layer.asset_graph.asset_check_keys}
        assert key in keys | checked


def test_a_failed_check_has_its_own_error_class() -> None:
    """A failed blocking check is `check_failed`; other errors keep the name of their class."""
    assert error_class("DagsterAssetCheckFailedError") == "check_failed"
    assert error_class("KeyError") == "KeyError"


@dg.asset
def judged() -> None:
    """Exist."""


@dg.asset_check(asset=judged, blocking=True)
def is_green() -> dg.AssetCheckResult:
    """Fail."""
    return dg.AssetCheckResult(passed=False, description="5 of 9 runs passed; the minimum is 70 %.")


def test_the_alert_of_a_failed_check_has_its_reason(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """Dagster's message counts the checks that failed; the alert names them."""
    job = dg.define_asset_job("judge", hooks=HOOKS)
    definitions = dg.Definitions(assets=[judged], asset_checks=[is_green], jobs=[job], resources={"cogo": cogo})
    definitions.resolve_job_def("judge").execute_in_process(instance=instance, raise_on_error=False)
    alerts.evaluate()
    [row] = alerts.list_alerts()
    assert row.error_message == "is_green: 5 of 9 runs passed; the minimum is 70 %."


def test_the_hook_and_the_sensor_count_a_run_once(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts
) -> None:
    """If both report the same run, the alert counts it once."""
    report(instance, cogo, run(instance, cogo, fails=True))
    tick(instance, cogo)
    [row] = alerts.list_alerts()
    assert row.document["count"] == 1


@pytest.mark.parametrize(("tags", "expected"), [({}, 0), ({"dagster/sensor_name": "dlq_replay"}, 1)])
@pytest.mark.parametrize("name", ["inspect_job", "retry_failed"])
def test_a_mistake_of_the_person_who_launched_a_run_is_no_alert(
    instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts, *, name: str, tags: dict[str, str], expected: int
) -> None:
    """Neither the hook nor the sensors record jobs that do not qualify, unless the run was launched automatically."""
    job, op = {"inspect_job": (inspect_job, "claim_chosen"), "retry_failed": (retry_failed, "retry_failed")}[name]
    config = {"ops": {op: {"config": {"job_ids": [str(uuid4())]}}}}
    done = job.execute_in_process(
        run_config=config, instance=instance, resources={"cogo": cogo}, tags=tags, raise_on_error=False
    )
    assert not done.success
    report(instance, cogo, done.run_id)
    tick(instance, cogo)
    assert [alert.count for alert in alerts.list_alerts(kind="run_failed")] == [1] * expected


def report(instance: dg.DagsterInstance, cogo: CogoResource, run_id: str) -> None:
    """Evaluate run_failure for a failed run."""
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


def test_a_crashed_run_is_an_alert(instance: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts) -> None:
    """A run whose process was killed has no hook; the sensor records it, and a later success resolves the alert."""
    crashed = instance.create_run_for_job(flaky_job, run_config={"ops": {"flaky": {"config": {"fails": True}}}})
    instance.report_run_failed(crashed)
    tick(instance, cogo)
    [row] = alerts.list_alerts()
    assert (row.document["title"], row.document["error_class"]) == (
        "A run of the Dagster job flaky_job crashed",
        "run_crashed",
    )
    tick(instance, cogo)
    assert alerts.list_alerts()[0].document["count"] == 1
    run(instance, cogo, fails=False)
    tick(instance, cogo)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_hook_and_sensor_describe_a_failure_alike(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Op and error class are equal, so that the fingerprint does not depend on which reports first."""
    run_id = run(instance, cogo, fails=True)
    dagster_run = instance.get_run_by_id(run_id)
    assert dagster_run is not None
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    steps = [one.event_log_entry.dagster_event for one in found]
    described = failure_of(dagster_run, [step for step in steps if step], None)
    assert (described["op_name"], described["error_class"]) == ("flaky", "KeyError")


@pytest.fixture
def http(receiver: Receiver, settings: dict[str, str]) -> CogoResource:
    """Return a resource with the receiver as the only target."""
    target = {"WEBHOOK_TYPE": "http", "WEBHOOK_URL": receiver.url(), "WEBHOOK_ALLOWED_HOSTS": receiver.authority}
    return CogoResource(settings=settings | target)


def test_the_sensor_delivers_in_its_tick(
    instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource
) -> None:
    """A tick delivers without launching a run."""
    instance.create_run_for_job(deliver_alerts, status=dg.DagsterRunStatus.STARTED)  # for example a dead one
    fail_job(queue)
    assert tick(instance, http) == "1 new failure; 1 message delivered, 0 failed."
    assert len(receiver.accepted) == 1
    assert tick(instance, http) == "0 new failures; 0 messages delivered, 0 failed."


def test_the_job_delivers(instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource) -> None:
    """The Dagster job deliver_alerts delivers like the sensor."""
    fail_job(queue)
    assert deliver_alerts.execute_in_process(instance=instance, resources={"cogo": http}).success
    assert len(receiver.accepted) == 1


def test_messages_to_a_removed_target_are_ignored(
    instance: dg.DagsterInstance, cogo: CogoResource, queue: Queue, receiver: Receiver, http: CogoResource
) -> None:
    """Messages to a target that is no longer configured stay pending; ticks succeed and launch nothing."""
    receiver.down = Reply(503)
    fail_job(queue)
    assert "1 failed. http is retried in" in tick(instance, http)
    assert tick(instance, cogo) == "0 new failures; 0 messages delivered, 0 failed."


def test_an_error_of_dagsters_storage_does_not_prevent_delivery(
    instance: dg.DagsterInstance, queue: Queue, receiver: Receiver, http: CogoResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If reading the runs fails, the tick delivers and then fails."""
    monkeypatch.setattr("cogo_dagster.dagster_support.run_failures._recent_failures", _cannot)
    fail_job(queue)
    with pytest.raises(LookupError):
        tick(instance, http)
    assert len(receiver.accepted) == 1


def test_a_misconfigured_target_does_not_prevent_recording(
    instance: dg.DagsterInstance, settings: dict[str, str], queue: Queue, alerts: Alerts
) -> None:
    """The tick fails with a message that names the setting; the alert is recorded."""
    fail_job(queue)
    with pytest.raises(SettingsError, match="SLACK_WEBHOOK_URL is not set"):
        tick(instance, CogoResource(settings=settings | {"WEBHOOK_TYPE": "slack", "SLACK_WEBHOOK_URL": ""}))
    assert [row.document["kind"] for row in alerts.list_alerts()] == ["job_failed"]


def test_a_failing_sensor_is_an_alert(persistent: dg.DagsterInstance, cogo: CogoResource, alerts: Alerts) -> None:
    """Two failed ticks in a row raise an alert; a tick that succeeds resolves it."""
    definitions = dg.Definitions(sensors=[broken_sensor], jobs=[flaky_job], resources={"cogo": cogo})
    state = InstigatorState(of_sensor("broken_sensor"), InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    persistent.add_instigator_state(state)
    _ticked(persistent, state, TickStatus.FAILURE, f"password={SECRET} is wrong")
    tick(persistent, cogo, definitions)
    assert alerts.list_alerts() == []
    _ticked(persistent, state, TickStatus.FAILURE, f"password={SECRET} is wrong")
    tick(persistent, cogo, definitions)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["title"]) == ("sensor_failing", "The sensor broken_sensor is failing")
    assert "is wrong" in row.document["error_message"]
    assert SECRET not in str(row)
    _ticked(persistent, state, TickStatus.SKIPPED)
    tick(persistent, cogo, definitions)
    assert alerts.list_alerts()[0].document["status"] == "resolved"


def test_jobs_that_no_worker_can_run_are_an_alert(
    persistent: dg.DagsterInstance, cogo: CogoResource, queue: Queue, alerts: Alerts
) -> None:
    """Due jobs of a family without an executor launch nothing and raise an alert."""
    add(queue, type="unserved")
    definitions = dg.Definitions(jobs=[flaky_job], resources={"cogo": cogo})
    tick(persistent, cogo, definitions)
    [row] = alerts.list_alerts()
    assert (row.document["kind"], row.document["subject"]) == ("no_worker_for_family", "unserved")
    assert row.document["error_message"] == "1 job is due. Install its executor on a machine with workers."


def test_the_condition_names_the_missing_setting() -> None:
    """The message has the reason why this code location does not run the family."""
    [found] = conditions(
        {}, {"figma": 3}, {"figma": "Jobs of the family figma need FIGMA_API_TOKEN, which is not set."}
    )
    assert found["error_message"] == (
        "3 jobs are due. Jobs of the family figma need FIGMA_API_TOKEN, which is not set."
    )


@dg.sensor(job=flaky_job)
def broken_sensor(context: dg.SensorEvaluationContext) -> None:
    """Do nothing; its failed ticks are inserted."""


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
    raise LookupError("Dagster's storage is unreachable.")


NIGHTLY = dg.ScheduleDefinition(name="nightly", job=flaky_job, cron_schedule="0 2 * * *", execution_timezone="UTC")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def state_since(moment: datetime) -> InstigatorState:
    """Return the state of a running schedule."""
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
    """A schedule is due at its next time after the last tick; after a failed tick, since that tick."""
    ticked: Any = None
    if last and status:
        ticked = SimpleNamespace(status=status, timestamp=last.timestamp(), error=None)
    watched = _watched(NIGHTLY, state_since(NOW - timedelta(days=3)), ticked, NOW)
    assert (watched["due_in_seconds"] < 0) is late
