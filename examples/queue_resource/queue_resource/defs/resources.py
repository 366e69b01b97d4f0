"""The queue, as the environment names it: COGO_DATABASE_URL, SUPABASE_URL, or else the embedded database."""

import dagster as dg

from cogo_dagster import CogoQueue


@dg.definitions
def resources() -> dg.Definitions:
    """Give the queue to assets under the name `cogo_queue`."""
    return dg.Definitions(resources={"cogo_queue": CogoQueue()})
