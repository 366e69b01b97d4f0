"""Runs a Dagster job from a command, in this process, on the persistent instance, so that the UI shows it."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from cogo_dagster.bootstrap.dagster_home import dagster_home
from cogo_dagster.dagster_support.resources import CogoResource, WorkerResource
from cogo_dagster.settings import PROJECT_ROOT, load_settings


@dataclass(frozen=True, slots=True)
class LaunchedRun:
    """A finished run.

    Attributes:
        error: First line of the error.
        interrupted: Whether a signal ended it.
    """

    run_id: str
    success: bool
    error: str | None
    interrupted: bool = False


def run_process_jobs(
    process_jobs: dg.JobDefinition, settings: Mapping[str, str], *, max_jobs: int | None = None
) -> LaunchedRun:
    """Run `process_jobs` until the queue is empty.

    Args:
        process_jobs: The Dagster job of that name.
        settings: Settings by environment name, which override the environment.
        max_jobs: Maximum number of jobs.

    Raises:
        DatabaseUnavailable: The embedded server is not running.
    """
    home = str(dagster_home(load_settings(PROJECT_ROOT / ".env", **settings)))
    os.environ.setdefault("DAGSTER_HOME", home)  # Dagster's own code reads it in some places
    cogo = CogoResource(settings=dict(settings))
    config = {"linger_seconds": 0.0, "run_seconds": 3600.0, "max_jobs": max_jobs}
    with warnings.catch_warnings(), dg.DagsterInstance.from_config(home) as instance:
        warnings.simplefilter("ignore")
        result = process_jobs.execute_in_process(
            instance=instance,
            run_config={
                "ops": {"claim_jobs": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            resources={"cogo": cogo, "worker": WorkerResource(cogo=cogo)},
            raise_on_error=False,
        )
    error = _first_error(result)
    if error is None:
        return LaunchedRun(result.run_id, result.success, None)
    interrupted = error.cls_name == "DagsterExecutionInterruptedError"
    return LaunchedRun(result.run_id, result.success, _message(error), interrupted)


def _first_error(result: dg.ExecuteInProcessResult) -> SerializableErrorInfo | None:
    for event in result.all_events:
        error: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
        if error is not None:
            return error.cause or error
    return None


def _message(error: SerializableErrorInfo) -> str:
    """Return the first line of an error without its class."""
    line = error.message.strip().split("\n", 1)[0]
    name, colon, text = line.partition(": ")
    return text if colon and error.cls_name and name.endswith(error.cls_name) else line
