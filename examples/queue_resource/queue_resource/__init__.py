"""An example of the queue as a Dagster resource."""
