"""A run launcher that reports the termination of a run before it requests it.

Some launchers, such as that of dagster-celery, only end the process of the run. Dagster then reports the run as failed,
because no one requested its termination, and an alert is raised.
"""

from typing import Any, Self

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, ResumeRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

_ENDING = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


class CancelingRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Passes everything to another launcher, and reports `CANCELING` before a termination.

    In dagster.yaml:

        run_launcher:
          module: cogo_dagster.dagster_support.run_launcher
          class: CancelingRunLauncher
          config:
            launcher: {module: dagster_celery.launcher, class: CeleryRunLauncher, config: {…}}
    """

    def __init__(
        self, launcher: RunLauncher[dg.DagsterInstance], inst_data: ConfigurableClassData | None = None
    ) -> None:
        self._launcher = launcher
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Configuration with which Dagster rebuilds the launcher in another process."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the schema: the launcher to use."""
        config = dg.Field(dict, is_required=False)
        return {"launcher": {"module": str, "class": str, "config": config}}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]
        """Build the launcher and the one that it uses."""
        chosen = config_value["launcher"]
        data = ConfigurableClassData(chosen["module"], chosen["class"], dg.serialize_value(chosen.get("config") or {}))
        return cls(data.rehydrate(as_type=RunLauncher), inst_data)  # type: ignore[type-abstract]

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Pass the instance on."""
        super().register_instance(instance)
        self._launcher.register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run."""
        self._launcher.launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Report that the termination of a run was requested, then request it; return whether the run was running."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status not in _ENDING:
            self._instance.report_run_canceling(run)
        return self._launcher.terminate(run_id)

    def dispose(self) -> None:
        """Release the resources of the launcher."""
        self._launcher.dispose()

    def join(self, timeout: int = 30) -> None:
        """Wait for runs in this process."""
        self._launcher.join(timeout)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring can check the processes of runs."""
        return self._launcher.supports_check_run_worker_health

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check the process of a run."""
        return self._launcher.check_run_worker_health(run)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Return facts about the process of a run."""
        return self._launcher.get_run_worker_debug_info(run, include_container_logs)

    @property
    def supports_resume_run(self) -> bool:
        """Whether a run can be resumed."""
        return self._launcher.supports_resume_run

    def resume_run(self, context: ResumeRunContext) -> None:
        """Resume a run."""
        self._launcher.resume_run(context)
