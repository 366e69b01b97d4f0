"""The queue's assets, the Dagster jobs that work on it, and the sensors that launch them."""
