"""The Dagster definitions: loaded bare, run in process on the real queue, and the sensors that launch them."""
