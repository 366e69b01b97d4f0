"""Runs that a user terminates, which raise no alert."""

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClassData

from cogo_dagster.bootstrap import open_application
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.run_launcher import CancelingRunLauncher
from cogo_dagster.defs.alerts.sensors import run_failure, undelivered_alerts
from cogo_dagster.settings import load_settings


class SilentLauncher(RunLauncher[dg.DagsterInstance]):
    """A launcher that ends the process of a run without a report, like that of dagster-celery."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.terminated: list[str] = []

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch nothing."""

    def terminate(self, run_id: str) -> bool:
        """Record the request."""
        self.terminated.append(run_id)
        return True


def test_a_termination_is_reported_before_it_is_requested(instance: dg.DagsterInstance) -> None:
    """The run is CANCELING when its process is interrupted, so that Dagster reports it as CANCELED; once."""
    silent = SilentLauncher()
    launcher = CancelingRunLauncher(silent)
    launcher.register_instance(instance)
    run = started(instance)
    assert launcher.terminate(run.run_id)
    assert launcher.terminate(run.run_id)
    assert silent.terminated == [run.run_id, run.run_id]
    canceling = instance.get_run_by_id(run.run_id)
    assert canceling is not None
    assert canceling.status is dg.DagsterRunStatus.CANCELING
    requests = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.PIPELINE_CANCELING)
    assert len(requests.records) == 1
    instance.report_run_canceled(run)
    assert not launcher.terminate(run.run_id)


def test_the_launcher_is_built_from_its_configuration() -> None:
    """dagster.yaml names the launcher to use, with its configuration."""
    data = ConfigurableClassData(
        "cogo_dagster.dagster_support.run_launcher",
        "CancelingRunLauncher",
        "launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}",
    )
    launcher = data.rehydrate(as_type=CancelingRunLauncher)
    assert not launcher.supports_check_run_worker_health
    assert launcher.inst_data == data


def test_a_terminated_run_raises_no_alert(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """Neither sensor records it, even if it is FAILURE because its process could not report the cancellation."""
    terminated, failed = started(instance), started(instance)
    instance.report_run_canceling(terminated)
    for run in (terminated, failed):
        report_failure(instance, cogo, run)
    with dg.build_sensor_context(instance=instance, resources={"cogo": cogo}) as context:
        undelivered_alerts(context)
    with open_application(load_settings(None, **cogo.settings)) as application:
        alerts = application.alerts.list_alerts(kind="run_failed")
    assert [alert.document["refs"]["run_id"] for alert in alerts] == [failed.run_id]


def report_failure(instance: dg.DagsterInstance, cogo: CogoResource, run: dg.DagsterRun) -> None:
    """Report that a run failed, to Dagster and to the sensor `run_failure`."""
    instance.report_run_failed(run, "Execution was interrupted unexpectedly.")
    [record] = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    event, current = record.event_log_entry.dagster_event, instance.get_run_by_id(run.run_id)
    assert event is not None
    assert current is not None
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failure",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=current,
        resources={"cogo": cogo},
    )
    with context.for_run_failure() as failure:
        run_failure(failure)


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Return a run of a Dagster job that is running."""

    @dg.op
    def nothing() -> None: ...

    @dg.job(name="process_jobs")
    def process_jobs() -> None:
        nothing()

    return instance.create_run_for_job(process_jobs, status=dg.DagsterRunStatus.STARTED)


def test_a_worker_stopped_with_its_machine_raises_no_alert(instance: dg.DagsterInstance, cogo: CogoResource) -> None:
    """The jobs are requeued and the sensor launches the next run; other interrupted runs raise an alert."""
    for name in ("process_jobs", "snapshot_gate"):
        interrupted(instance, name)
    with dg.build_sensor_context(instance=instance, resources={"cogo": cogo}) as context:
        undelivered_alerts(context)
    with open_application(load_settings(None, **cogo.settings)) as application:
        alerts = application.alerts.list_alerts(kind="run_failed")
    assert [alert.subject for alert in alerts] == ["snapshot_gate"]


def interrupted(instance: dg.DagsterInstance, name: str) -> None:
    """Run a Dagster job whose op is interrupted as by SIGTERM."""

    @dg.op(name="work")
    def work() -> None:
        raise DagsterExecutionInterruptedError

    @dg.job(name=name)
    def job() -> None:
        work()

    job.execute_in_process(instance=instance, raise_on_error=False)
