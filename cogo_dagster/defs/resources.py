"""Resources and executor of all definitions."""

import dagster as dg

from cogo_dagster.dagster_support.resources import CogoResource, WorkerResource


@dg.definitions
def resources() -> dg.Definitions:
    """Provide the queue as a resource, and run all ops of a run in one process."""
    cogo = CogoResource()
    return dg.Definitions(
        resources={"cogo": cogo, "worker": WorkerResource(cogo=cogo)}, executor=dg.in_process_executor
    )
