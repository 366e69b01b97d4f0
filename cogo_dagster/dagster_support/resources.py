"""What the ops and sensors work with."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from cogo_dagster.bootstrap import Application, open_application, worker_options
from cogo_dagster.dagster_support.engine import EngineThread
from cogo_dagster.dagster_support.reporting import RunReport
from cogo_dagster.links import job_page
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.worker import WorkerOptions
from cogo_dagster.redaction import redact_logs, redactor_of
from cogo_dagster.settings import PROJECT_ROOT, Settings, load_settings


class CogoResource(dg.ConfigurableResource[Any]):
    """The queue and its artifacts, opened for one run or one sensor tick.

    Attributes:
        settings: Settings by environment name that win over the environment, as `{"COGO_CONCURRENCY": "16"}`.
    """

    settings: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it

    _application: Application = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["CogoResource"]:  # noqa: ARG002
        """Open the application for as long as the run or tick lasts."""
        settings = load_settings(PROJECT_ROOT / ".env", **self.settings)
        redact_logs(redactor_of(settings.secret_values()))
        with open_application(settings) as application:
            self._application = application
            yield self

    @property
    def application(self) -> Application:
        """Everything the settings chose."""
        return self._application

    @property
    def queue(self) -> Queue:
        """The engine's client."""
        return self._application.queue


class WorkerResource(dg.ConfigurableResource[Any]):
    """One worker per run, over the same engine as `cogo worker`.

    Its teardown is the graceful stop: when a run is interrupted, jobs that still run are requeued at once.
    """

    cogo: dg.ResourceDependency[CogoResource]

    _engine: EngineThread = PrivateAttr()
    _run_report: RunReport = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["WorkerResource"]:  # noqa: ARG002
        """Hold the engine; end it however the run ends."""
        self._engine = EngineThread()
        self._run_report = RunReport(partial(job_page, self.cogo.application.settings))
        try:
            yield self
        finally:
            self._engine.stop_now()

    @property
    def settings(self) -> Settings:
        """What the run works by."""
        return self.cogo.application.settings

    @property
    def queue(self) -> Queue:
        """The engine's client."""
        return self.cogo.queue

    @property
    def engine(self) -> EngineThread:
        """The running worker."""
        return self._engine

    @property
    def run_report(self) -> RunReport:
        """What the run has shown so far."""
        return self._run_report

    def start(self, options: WorkerOptions, dagster_run_id: str) -> None:
        """Start the worker."""
        self._engine.start(
            self.cogo.application.worker(
                observer=self._engine.observe,
                options=options,
                dagster_run_id=dagster_run_id,
                last_resort=self._engine.give_up,
            )
        )

    def default_options(self) -> WorkerOptions:
        """Return how a worker works by the settings."""
        return worker_options(self.cogo.application.settings)
