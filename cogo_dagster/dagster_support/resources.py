"""Resources of the ops and sensors."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster as dg
from pydantic import PrivateAttr

from cogo_dagster.bootstrap import Application, open_application, worker_options
from cogo_dagster.dagster_support.reporting import RunReport
from cogo_dagster.dagster_support.worker_thread import WorkerThread
from cogo_dagster.quality.records import GateRun
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.worker import WorkerOptions
from cogo_dagster.redaction import redact_logs, redactor_of
from cogo_dagster.settings import PROJECT_ROOT, Settings, SettingsError, load_settings

_MAX_GATE_RUNS: Final = 1_000


class ResourceUnavailable(dg.DagsterError):
    """The queue cannot be opened. Dagster shows this message; other errors it hides behind one about the resource."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the expected errors of opening the queue as errors that Dagster does not wrap."""
    try:
        yield
    except (QueueError, SettingsError) as error:
        raise ResourceUnavailable(str(error)) from None


class CogoResource(dg.ConfigurableResource[Any]):
    """The queue and its artifacts, opened for a run or a sensor tick.

    `settings` overrides the environment, by variable name, such as `{"COGO_CONCURRENCY": "16"}`.
    """

    settings: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it

    _application: Application = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["CogoResource"]:  # noqa: ARG002
        """Open the application for the duration of the run or tick."""
        with ExitStack() as opened:
            with plain_errors():
                settings = load_settings(PROJECT_ROOT / ".env", **self.settings)
                redact_logs(redactor_of(settings.secret_values()))
                self._application = opened.enter_context(open_application(settings))
            yield self

    @property
    def application(self) -> Application:
        """The services that the settings describe."""
        return self._application

    @property
    def queue(self) -> Queue:
        """The client of the queue."""
        return self._application.queue


class WorkerResource(dg.ConfigurableResource[Any]):
    """One worker per run; the same worker as that of `cogo worker`.

    Its teardown requeues jobs that still run, also when the run is interrupted.
    """

    cogo: dg.ResourceDependency[CogoResource]

    _thread: WorkerThread = PrivateAttr()
    _run_report: RunReport = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["WorkerResource"]:
        """Create the worker's thread, and stop the worker when the run ends."""
        self._thread = WorkerThread()
        self._run_report = RunReport(self.cogo.application.settings, self._thread.observe)
        try:
            yield self
        finally:
            self._thread.stop_now()
            self._tag(context)

    def _tag(self, context: dg.InitResourceContext) -> None:
        """Tag the run with its counts, also if it was interrupted."""
        if self._thread.started and context.instance is not None and context.run is not None:
            context.instance.add_run_tags(context.run.run_id, self._run_report.tags)

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.cogo.application.settings

    @property
    def queue(self) -> Queue:
        """The client of the queue."""
        return self.cogo.queue

    @property
    def thread(self) -> WorkerThread:
        """The thread of the worker."""
        return self._thread

    @property
    def run_report(self) -> RunReport:
        """The report of the run so far."""
        return self._run_report

    def gate_runs(self, elapsed_seconds: float) -> list[GateRun]:
        """Return the gate runs that jobs of this run recorded, at most the newest thousand.

        Args:
            elapsed_seconds: How long ago the worker was started.
        """
        jobs = self._run_report.gate_jobs
        if not jobs:
            return []
        recent = self.cogo.application.gates.recent(None, _MAX_GATE_RUNS, since_seconds=elapsed_seconds + 60)
        return [run for run in recent if run.job_id in jobs]

    def start(self, options: WorkerOptions, dagster_run_id: str) -> None:
        """Start the worker."""
        self._thread.start(
            self.cogo.application.worker(
                observer=self._run_report,
                options=options,
                dagster_run_id=dagster_run_id,
                last_resort=self._thread.give_up,
            )
        )

    def default_options(self) -> WorkerOptions:
        """Return the worker options of the settings."""
        return worker_options(self.cogo.application.settings)
