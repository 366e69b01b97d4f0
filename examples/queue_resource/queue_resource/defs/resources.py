"""The queue that the environment configures: COGO_DATABASE_URL, SUPABASE_URL, or the embedded database."""

import dagster as dg

from cogo_dagster import CogoQueue


@dg.definitions
def resources() -> dg.Definitions:
    """Provide the queue as the resource `cogo_queue`."""
    return dg.Definitions(resources={"cogo_queue": CogoQueue()})
