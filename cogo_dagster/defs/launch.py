"""Running a Dagster job from a command: on the persistent instance, in this process, seen in the UI like any other."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from cogo_dagster.defs.jobs import process_jobs
from cogo_dagster.defs.resources import CogoResource, WorkerResource
from cogo_dagster.settings import PROJECT_ROOT


@dataclass(frozen=True, slots=True)
class LaunchedRun:
    """A finished run; `error` is the first line of what failed it."""

    run_id: str
    success: bool
    error: str | None


def run_process_jobs(settings: Mapping[str, str], *, max_jobs: int | None = None) -> LaunchedRun:
    """Run `process_jobs` until the queue is empty.

    Args:
        settings: Settings by environment name that win over the environment.
        max_jobs: End after this many jobs.

    Raises:
        DatabaseUnavailable: The embedded server does not run.
    """
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))  # Dagster's own code asks for it in places
    cogo = CogoResource(settings=dict(settings))
    config = {"linger_seconds": 0.0, "run_seconds": 3600.0, "max_jobs": max_jobs}
    with warnings.catch_warnings(), dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance:
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
    return LaunchedRun(result.run_id, result.success, _first_error(result))


def _first_error(result: dg.ExecuteInProcessResult) -> str | None:
    for event in result.all_events:
        data = event.event_specific_data
        error = getattr(data, "error", None)
        if error is not None:
            cause = error.cause or error
            return str(cause.message).strip().split("\n", 1)[0]
    return None
